/** Recipients of a campaign as they are uploaded: the record of one recipient, and the progress of an upload. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { makeMailbox, parseMailbox } from './address.ts';
import type { CampaignRow } from './campaign.ts';
import { emptyListAsObject, isWellFormed } from './json-object.ts';
import type { DeclaredVariable, Variables } from './template.ts';

/** Bytes of one recipient's variables as JSON. Five hundred recipients are unpacked at a time. */
const maxRowBytes = 16 * 1024;
const maxVariables = 200;

const fields = z
  .looseObject({
    email: z.string().meta({ description: 'The address, or `Name <address>`.', examples: ['ada@example.org'] }),
    name: z
      .string()
      .nullish()
      .meta({ description: 'The name shown with the address. It is also the variable `name`.' }),
    variables: z
      .preprocess(emptyListAsObject, z.record(z.string(), z.unknown()))
      .nullish()
      .meta({ description: 'Variables for this recipient.' }),
  })
  .meta({ id: 'RecipientRecord', description: 'A recipient to add. Any other field is a variable as well.' });

/** The fields with a fixed meaning. */
export const recipientFields = Object.keys(fields.shape);

/** All other members of a record are variables, and so is `name`. */
export const recipientRecord = fields.transform((given, context): CampaignRow => {
  const { email, name, variables, ...rest } = given;
  const fault = (field: string, message: string) => {
    context.addIssue({ code: 'custom', path: [field], message });
    return z.NEVER;
  };
  const parsed = parseMailbox(email);
  if ('fault' in parsed) return fault('email', parsed.fault);
  const mailbox = makeMailbox(parsed.address, name ?? parsed.name);
  if ('fault' in mailbox) return fault('name', mailbox.fault);
  const all: Variables = { ...(mailbox.name === undefined ? {} : { name: mailbox.name }), ...rest, ...variables };
  if (Object.keys(all).length > maxVariables) return fault('variables', `may be ${maxVariables} at most`);
  if (!isWellFormed(all)) return fault('variables', 'must be well-formed Unicode');
  if (Buffer.byteLength(JSON.stringify(all)) > maxRowBytes)
    return fault('variables', `may be ${maxRowBytes} bytes as JSON`);
  return { ...mailbox, variables: all };
});

/** The only text that is read as a number. What `1,5`, `1e3` and `0x10` mean would be a guess. */
const plainDecimal = /^-?\d+(\.\d+)?$/;

/**
 * The record of a recipient in a campaign that declares variables: each must have its declared type, or be missing.
 * @param isText for CSV, where all values are text: a value declared as a number is read as one
 */
export function recordFor(declared: readonly DeclaredVariable[], isText: boolean) {
  return recipientRecord.transform((row, context): CampaignRow => {
    const read: Record<string, unknown> = { ...row.variables };
    for (const { key, type } of declared) {
      const given = Object.hasOwn(read, key) ? read[key] : null;
      const value = isText && type === 'number' && typeof given === 'string' ? numberIn(given) : given;
      if (value !== null && typeof value === type) read[key] = value;
      else if (given !== null)
        context.addIssue({ code: 'custom', path: ['variables', key], message: wordsFor(type, isText) });
    }
    return { ...row, variables: read };
  });
}

function numberIn(text: string): number | null {
  const number = plainDecimal.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(number) ? number : null;
}

function wordsFor(type: DeclaredVariable['type'], isText: boolean): string {
  return type === 'number' && isText ? 'must be a number, written as 1200 or 3.5' : `must be a ${type}`;
}

export type UploadFault = { readonly line: number; readonly message: string };

/** Faults that an answer lists; of the others it gives only the number. */
export const maxNamedFaults = 100;

/** The faults to list after a batch was read: the first ones, and the one where the list broke off. */
export function namedFaults(
  named: readonly UploadFault[],
  { faults, breaksOff }: Pick<UploadBatch<unknown>, 'faults' | 'breaksOff'>,
): UploadFault[] {
  const first = [...named, ...faults].slice(0, maxNamedFaults);
  const last = faults.at(-1);
  return last === undefined || !breaksOff || first.includes(last) ? first : [...first, last];
}

/** The progress of an upload so far. */
export type UploadProgress = {
  readonly received: number;
  readonly added: number;
  readonly duplicates: number;
  readonly invalid: number;
  /** The first faults. */
  readonly errors: readonly UploadFault[];
  /** A digest of all that was read of it. A different upload under the same key has another one. */
  readonly digest: string;
  readonly isDone: boolean;
  /** The list itself was faulty at this point, so nothing after it is read. */
  readonly brokeOff: boolean;
};

export const noProgress: UploadProgress = {
  received: 0,
  added: 0,
  duplicates: 0,
  invalid: 0,
  errors: [],
  digest: '',
  isDone: false,
  brokeOff: false,
};

/** The digest after `next` was read too. */
export function chainDigest(digest: string, next: string): string {
  return hash('sha256', digest + next, 'base64url');
}

/** Records of an upload that are stored together, or not at all. */
export type UploadBatch<Item> = {
  readonly received: number;
  readonly items: readonly Item[];
  /** The faults of the records that are not valid. */
  readonly faults: readonly UploadFault[];
  /** A hash of the records as they came. */
  readonly hash: string;
  /** The list itself is faulty after the last record. */
  readonly breaksOff: boolean;
};
