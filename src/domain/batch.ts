/** The body of `POST /v1/emails/batch`: a list of send requests, or what they have in common and a list of how they differ. */
import { z } from 'zod';
import { batchBaseFor, batchMessageFor, batchOverrideFor, batchWholeFor } from './batch-request.ts';
import type { AskedEmail, RequestLimits } from './email-request.ts';

/** Emails of one batch: what is stored by one atomic step. */
export const maxBatch = 1_000;

/** Characters of one batch with its base written out, each letter counted once: a small request must not become gigabytes. */
const maxBatchLength = 40 * 1024 * 1024;

export function batchSchemasFor(limits: RequestLimits) {
  return {
    message: batchMessageFor(limits),
    base: batchBaseFor(limits),
    /** What a message may say over a base. */
    override: batchOverrideFor(limits),
    /** Both together, each read before. */
    whole: batchWholeFor(limits),
    body: batchBody(),
  };
}

export type BatchSchemas = ReturnType<typeof batchSchemasFor>;

/** Only the outside is checked here; each message is by itself, so that one that is wrong can be told from the others. */
function batchBody() {
  return z
    .unknown()
    .transform((body, context): z.output<typeof messageList> | z.output<typeof sharedBody> => {
      const parsed = (Array.isArray(body) ? messageList : sharedBody).safeParse(body);
      if (parsed.success) return parsed.data;
      for (const issue of parsed.error.issues) context.addIssue({ ...issue });
      return z.NEVER;
    })
    .meta({
      id: 'BatchRequest',
      description: 'A list of emails, or what they have in common and a list of how they differ.',
      anyOf: [listOf('BatchMessage'), sharedDocument],
    });
}

/** As the document has it. */
const sharedDocument = {
  type: 'object',
  properties: {
    base: refTo('BatchBase'),
    messages: {
      ...listOf('BatchOverride'),
      description: 'The emails: each is the base with its own fields over it, field by field.',
    },
  },
  required: ['base', 'messages'],
  additionalProperties: false,
} as const;

function listOf(name: string) {
  return { type: 'array', items: refTo(name), minItems: 1, maxItems: maxBatch } as const;
}

const size = `must have 1 to ${maxBatch} emails`;
const messageList = z.array(z.unknown(), 'must be a list of emails').min(1, size).max(maxBatch, size);
const sharedBody = z.strictObject(
  {
    base: z.record(z.string(), z.unknown(), 'must be an object: what the emails have in common'),
    messages: messageList,
  },
  'must be a list of emails, or base and messages',
);

/** To a schema as it is given, which the generator calls so. */
function refTo(name: string) {
  return { $ref: `#/components/schemas/${name}Input` };
}

export type BatchItem = {
  /** Where it stands in the body. */
  readonly path: readonly PropertyKey[];
  /** The whole request as it was given, base included; what an idempotency key stands for. */
  readonly given: unknown;
  readonly idempotencyKey: string | null;
  /** The request, or everything that is wrong with it. */
  readonly result: { readonly request: AskedEmail } | { readonly issues: readonly z.core.$ZodIssue[] };
};

export type Batch = { readonly items: readonly BatchItem[] } | { readonly issues: readonly z.core.$ZodIssue[] };

/** How zod's own messages are worded. */
type Wording = Parameters<z.ZodType['safeParse']>[1];

/** Reads each message by itself. Faults of the base refuse the whole batch; they are named once, beside those of the messages. */
export function readBatch(body: z.output<BatchSchemas['body']>, schemas: BatchSchemas, wording?: Wording): Batch {
  if (Array.isArray(body)) {
    const items = body.map((given, index) => itemOf([index], given, schemas.message.safeParse(given, wording)));
    return { items: refuseRepeats(items) };
  }
  // What a message leaves to its base is not read again with it: a base of megabytes would take minutes over a thousand messages.
  const base = schemas.base.safeParse(body.base, wording);
  const own = body.messages.map((message) => schemas.override.safeParse(message, wording));
  const pathOf = (index: number) => ['messages', index];
  if (!base.success) {
    const others = own.flatMap(({ error }, index) => below(pathOf(index), error));
    return { issues: [...below(['base'], base.error), ...others] };
  }
  const items = body.messages.map((message, index): BatchItem => {
    const read = own[index] as (typeof own)[number];
    if (!isRecord(message)) return itemOf(pathOf(index), message, read as Read);
    // Where one field of a message is at fault, the rules that it shares with others look at what was given.
    const whole = schemas.whole.safeParse({ ...base.data, ...(read.data ?? message) }, wording);
    return itemOf(pathOf(index), { ...body.base, ...message }, whole, read.error);
  });
  if (lengthOf(items) <= maxBatchLength) return { items: refuseRepeats(items) };
  const message = `with the base written out its html, text and headers are over ${maxBatchLength} characters together`;
  return { issues: [{ code: 'custom', path: [], message, input: undefined }] };
}

type Read = z.ZodSafeParseResult<AskedEmail & { idempotency_key?: string | undefined }>;

/** @param fault what is wrong with fields that were read before */
function itemOf(path: readonly PropertyKey[], given: unknown, read: Read, fault?: z.ZodError): BatchItem {
  const own = { path, given: withoutKey(given), idempotencyKey: keyIn(given) };
  const issues = [...below(path, fault), ...below(path, read.error)];
  if (!read.success || issues.length > 0) return { ...own, result: { issues } };
  const { idempotency_key: _, ...request } = read.data;
  return { ...own, result: { request } };
}

/** A letter that many have is stored once; headers are stored with each. */
function lengthOf(items: readonly BatchItem[]): number {
  const letters = new Map<string, Set<string>>();
  let length = 0;
  for (const { result } of items) {
    if ('issues' in result) continue;
    const { html = '', text = '', headers = {} } = result.request;
    const texts = letters.get(html) ?? new Set();
    if (!texts.has(text)) length += html.length + text.length;
    letters.set(html, texts.add(text));
    for (const [name, value] of Object.entries(headers)) length += name.length + value.length;
  }
  return length;
}

function below(path: readonly PropertyKey[], error: z.ZodError | undefined): z.core.$ZodIssue[] {
  return (error?.issues ?? []).map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
}

/** Also of an email that is refused: it may be a repeat of one that was accepted. */
function keyIn(given: unknown): string | null {
  const key = isRecord(given) ? given.idempotency_key : undefined;
  return typeof key === 'string' ? key : null;
}

/** The key names the request and is no part of it. */
function withoutKey(given: unknown): unknown {
  if (!isRecord(given)) return given;
  const { idempotency_key: _, ...rest } = given;
  return rest;
}

/** Two emails under one key in one batch can only be a mistake. */
function refuseRepeats(items: readonly BatchItem[]): BatchItem[] {
  const seen = new Set<string>();
  return items.map((item) => {
    const { idempotencyKey: key } = item;
    if (key === null || !seen.has(key)) {
      if (key !== null) seen.add(key);
      return item;
    }
    const path = [...item.path, 'idempotency_key'];
    const issue = { code: 'custom', path, message: 'stands at an earlier email of this batch', input: key } as const;
    const others = 'issues' in item.result ? item.result.issues : [];
    return { ...item, result: { issues: [...others, issue] } };
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
