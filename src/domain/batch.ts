/** The body of `POST /v1/emails/batch`: a list of send requests, or what they have in common and a list of how they differ. */
import { z } from 'zod';
import {
  type AskedEmail,
  batchBaseFor,
  batchMessageFor,
  batchOverrideFor,
  type RequestLimits,
} from './email-request.ts';

/** Emails of one batch: what is stored by one atomic step. */
export const maxBatch = 1_000;

/** Characters of one batch with its base written out, each letter counted once: a small request must not become gigabytes. */
const maxBatchLength = 40 * 1024 * 1024;

/** `override` is there for the document, which refers to it: a message with a base is checked together with that. */
export function batchSchemasFor(limits: RequestLimits) {
  return {
    message: batchMessageFor(limits),
    base: batchBaseFor(limits),
    /** What a message may say over a base; stands in the API's document only. */
    override: batchOverrideFor(limits),
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

function refTo(name: string) {
  return { $ref: `#/components/schemas/${name}` };
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
  const read = (path: readonly PropertyKey[], given: unknown, toParse = given): BatchItem => {
    const parsed = schemas.message.safeParse(toParse, wording);
    const own = { path, given: withoutKey(given), idempotencyKey: keyIn(given) };
    if (!parsed.success) return { ...own, result: { issues: below(path, parsed.error) } };
    const { idempotency_key: _, ...request } = parsed.data;
    return { ...own, result: { request } };
  };
  if (Array.isArray(body)) return { items: refuseRepeats(body.map((given, index) => read([index], given))) };

  const base = schemas.base.safeParse(body.base, wording);
  const { attachments: _, ...common } = body.base;
  const attachments = base.data?.attachments;
  const items = body.messages.map((message, index) => {
    const path = ['messages', index];
    if (!isRecord(message)) return read(path, message);
    const given = { ...body.base, ...message };
    const own = ownOf(message, body.base);
    if ('attachments' in own || attachments === undefined) return read(path, given, { ...body.base, ...own });
    // The files of the base are decoded once for all.
    const item = read(path, given, { ...common, ...own });
    return 'issues' in item.result ? item : { ...item, result: { request: { ...item.result.request, attachments } } };
  });
  if (base.success && lengthOf(items) > maxBatchLength) {
    const message = `with the base written out its html, text and headers are over ${maxBatchLength} characters together`;
    return { issues: [{ code: 'custom', path: [], message, input: undefined }] };
  }
  if (base.success) return { items: refuseRepeats(items) };
  return {
    issues: [...below(['base'], base.error), ...items.flatMap((item, index) => ownIssues(item, body.messages[index]))],
  };
}

/** What a message says over its base: null is as if it were left out. */
function ownOf(message: Readonly<Record<string, unknown>>, base: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(Object.entries(message).filter(([name, value]) => value !== null || !(name in base)));
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

/** What is wrong with a message in the fields that it gave itself. */
function ownIssues({ path, result }: BatchItem, message: unknown): z.core.$ZodIssue[] {
  if (!('issues' in result)) return [];
  const isOwn = (name: unknown) => !isRecord(message) || name === undefined || String(name) in message;
  return result.issues.flatMap((issue): z.core.$ZodIssue[] => {
    if (!isOwn(issue.path[path.length])) return [];
    if (issue.code !== 'unrecognized_keys') return [issue];
    const keys = issue.keys.filter(isOwn);
    return keys.length === 0 ? [] : [{ ...issue, keys }];
  });
}

function below(path: readonly PropertyKey[], { issues }: z.ZodError): z.core.$ZodIssue[] {
  return issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
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
