/** The body of `POST /v1/emails/batch`: a list of emails, or a base and a list of messages that override it. */
import { z } from 'zod';
import { batchBaseFor, batchMessageFor, batchOverrideFor, batchWholeFor } from './batch-request.ts';
import type { AskedEmail, RequestLimits } from './email-request.ts';
import { readIdempotencyKey } from './idempotency.ts';
import { isObject } from './json-object.ts';
import { withoutAnyNull } from './null-leaves-out.ts';

/** Emails in one batch: all are stored by one atomic step. */
const maxBatch = 1_000;

/**
 * Limit of faults in a strict batch; beyond it no more of the batch is read. Ten for each email are more than the repeat of an accepted batch
 * can have.
 */
export const maxBatchIssues = 10 * maxBatch;

/**
 * Bytes of one batch with its base written out: as many as a request may have. A letter or file that emails share is counted once. Without a
 * limit a request of kilobytes could become gigabytes.
 */
const maxBatchBytes = 40 * 1024 * 1024;

export function batchSchemasFor(limits: RequestLimits) {
  return {
    message: batchMessageFor(limits),
    base: batchBaseFor(limits),
    /** A message that overrides the base. */
    override: batchOverrideFor(limits),
    /** A message and the base together, each checked before. */
    whole: batchWholeFor(limits),
    body: batchBody(),
  };
}

export type BatchSchemas = ReturnType<typeof batchSchemasFor>;

/** Checks only the outer form. Each message is checked by itself, so that a faulty one can be told from the others. */
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
      description: 'A list of emails, or their common fields and a list of their own fields.',
      anyOf: [listOf('BatchMessage'), sharedDocument],
    });
}

/** The schema in the API document. */
const sharedDocument = {
  type: 'object',
  properties: {
    base: refTo('BatchBase'),
    messages: {
      ...listOf('BatchOverride'),
      description: 'The emails. Each is the base with its own fields on top.',
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

/** A reference to the input form of a schema, under the name the generator gives it. */
function refTo(name: string) {
  return { $ref: `#/components/schemas/${name}Input` };
}

export type BatchItem = {
  /** The place of the message in the body. */
  readonly path: readonly PropertyKey[];
  /** The whole request as given, base included: the Idempotency-Key belongs to it. */
  readonly given: unknown;
  readonly idempotencyKey: string | null;
  /** The request, or all of its faults. */
  readonly result: { readonly request: AskedEmail } | { readonly issues: readonly Issue[] };
};

export type Batch =
  /** `bytes` are those of all emails together, as they are counted for the limit. */
  { readonly items: readonly BatchItem[]; readonly bytes: number } | { readonly issues: readonly Issue[] };

/** The wording of zod's messages. */
type Wording = Parameters<z.ZodType['safeParse']>[1];

type Issue = z.core.$ZodIssue;

/**
 * Reads the messages one by one and yields after each, so that the caller can let other work run. Faults of the base refuse the whole batch;
 * they are listed once, before those of the messages.
 * @param maxIssues with more, the whole batch is refused and the rest is not read
 */
export function* readBatch(
  body: z.output<BatchSchemas['body']>,
  schemas: BatchSchemas,
  { wording, maxIssues }: { readonly wording?: Wording; readonly maxIssues: number },
): Generator<undefined, Batch, undefined> {
  const { messages, ofBase, read } = Array.isArray(body)
    ? readAlone(body, schemas, wording)
    : readOver(body, schemas, wording);
  const maxBytes = Array.isArray(body) ? Number.POSITIVE_INFINITY : maxBatchBytes;
  const count = makeCount();
  const items: BatchItem[] = [];
  let left = maxIssues;
  let bytes = 0;
  for (const [index, message] of messages.entries()) {
    const item = read(index, message);
    items.push(item);
    left -= issuesOf(item).reduce((sum, issue) => sum + faultsIn(issue), 0);
    bytes += 'issues' in item.result ? 0 : count(item.result.request);
    if (left < 0 || bytes > maxBytes) break;
    yield;
  }
  if (left < 0 || ofBase.length > 0) return { issues: [...ofBase, ...items.flatMap(issuesOf)] };
  if (bytes <= maxBytes) return { items, bytes };
  const message = `with the base written out, the emails are over ${maxBytes} bytes together, letters and files that they share counted once: send fewer at a time`;
  return { issues: [{ code: 'custom', path: [], message, input: undefined }] };
}

type Reader = {
  readonly messages: readonly unknown[];
  readonly ofBase: readonly Issue[];
  read(index: number, message: unknown): BatchItem;
};

function readAlone(messages: readonly unknown[], { message }: BatchSchemas, wording: Wording): Reader {
  return { messages, ofBase: [], read: (index, given) => itemOf([index], given, message.safeParse(given, wording)) };
}

/** Parts that a message takes from the base are not checked again: for a base of megabytes and a thousand messages that would take minutes. */
function readOver(body: z.output<typeof sharedBody>, schemas: BatchSchemas, wording: Wording): Reader {
  const base = schemas.base.safeParse(body.base, wording);
  const read = (index: number, message: unknown): BatchItem => {
    const path = ['messages', index];
    const own = schemas.override.safeParse(message, wording);
    if (!base.success || !isObject(message)) return itemOf(path, message, own as Read);
    // When a field of the message is faulty, the rules over several fields look at the message as given.
    const whole = schemas.whole.safeParse({ ...base.data, ...(own.data ?? message) }, wording);
    return itemOf(path, { ...body.base, ...withoutAnyNull(message) }, whole, own.error);
  };
  return { messages: body.messages, ofBase: below(['base'], base.error), read };
}

function issuesOf({ result }: BatchItem): readonly Issue[] {
  return 'issues' in result ? result.issues : [];
}

function faultsIn(issue: Issue): number {
  return issue.code === 'unrecognized_keys' ? issue.keys.length : 1;
}

type Read = z.ZodSafeParseResult<AskedEmail & { idempotency_key?: string | undefined }>;

/** @param fault the faults of the fields, when they were checked before */
function itemOf(path: readonly PropertyKey[], given: unknown, read: Read, fault?: z.ZodError): BatchItem {
  const own = { path, given: withoutKey(given), idempotencyKey: keyIn(given) };
  const issues = [...below(path, fault), ...below(path, read.error)];
  if (!read.success || issues.length > 0) return { ...own, result: { issues } };
  const { idempotency_key: _, ...request } = read.data;
  return { ...own, result: { request } };
}

/**
 * Counts the bytes that one email adds to its batch. A letter that many emails share is counted once, as it is stored; everything else is stored
 * with each email, and counted as JSON. Files are not counted: they are stored once, and a body has no more of them than its own length.
 */
function makeCount(): (request: AskedEmail) => number {
  const letters = new Map<string, Set<string>>();
  const sizes = new Map<unknown, number>();
  const sizeOf = (name: string, value: unknown): number => {
    if (typeof value !== 'object' || value === null) return jsonBytes(value);
    const size = sizes.get(value) ?? jsonBytes(name === 'attachments' ? withoutFiles(value) : value);
    sizes.set(value, size);
    return size;
  };
  return ({ html = '', text = '', template: _, ...rest }) => {
    const texts = letters.get(html) ?? new Set();
    const isNew = !texts.has(text);
    letters.set(html, texts.add(text));
    const own = Object.entries(rest).reduce((sum, [name, value]) => sum + name.length + sizeOf(name, value), 0);
    return own + (isNew ? Buffer.byteLength(html) + Buffer.byteLength(text) : 0);
  };
}

function jsonBytes(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

function withoutFiles(attachments: object): unknown {
  return Array.isArray(attachments) ? attachments.map(({ content: _, ...rest }) => rest) : attachments;
}

function below(path: readonly PropertyKey[], error: z.ZodError | undefined): Issue[] {
  return (error?.issues ?? []).map((issue) => ({ ...issue, path: [...path, ...issue.path] }));
}

/** Also read for an email that is refused: it may be the repeat of an accepted one. */
function keyIn(given: unknown): string | null {
  const key = isObject(given) ? given.idempotency_key : undefined;
  return typeof key === 'string' ? readIdempotencyKey(key) : null;
}

/** The key names the request and is not part of it. */
function withoutKey(given: unknown): unknown {
  if (!isObject(given)) return given;
  const { idempotency_key: _, ...rest } = given;
  return rest;
}
