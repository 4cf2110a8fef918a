/** Recipients of a campaign as they are uploaded: one record of each, and how far an upload came. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { makeMailbox, parseMailbox } from './address.ts';
import type { CampaignRow } from './campaign.ts';
import { isWellFormed } from './json-object.ts';
import type { DeclaredVariable, Variables } from './template.ts';

/** Bytes of one recipient's variables as JSON: five hundred of them are unpacked at a time. */
export const maxRowBytes = 16 * 1024;
const maxVariables = 200;

const fields = z
  .looseObject({
    email: z.string().meta({ description: 'The address, or `Name <address>`.', examples: ['ada@example.org'] }),
    name: z.string().nullish().meta({ description: 'The name beside the address, which is a variable too.' }),
    variables: z
      .record(z.string(), z.unknown())
      .nullish()
      .meta({ description: 'What the letter is filled in with for this recipient.' }),
  })
  .meta({ id: 'RecipientRecord', description: 'A recipient to add. Any other field is a variable as well.' });

/** The fields that mean something by themselves. */
export const recipientFields = Object.keys(fields.shape);

/** Whatever else a record has is a variable, and so is its name. */
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
  if (Object.keys(all).length > maxVariables) return fault('variables', `may be ${maxVariables}`);
  if (!isWellFormed(all)) return fault('variables', 'must be well-formed Unicode');
  if (Buffer.byteLength(JSON.stringify(all)) > maxRowBytes)
    return fault('variables', `may be ${maxRowBytes} bytes as JSON`);
  return { ...mailbox, variables: all };
});

/** What text must be to be read as a number: `1,5`, `1e3` and `0x10` are somebody's guess. */
const plainDecimal = /^-?\d+(\.\d+)?$/;

/**
 * A record for a campaign that declares variables: each has what it is declared as, or is not there.
 * @param isText of CSV, which has nothing but text: what is declared as a number is read as one
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

/** Faults that an answer names; of the rest it has the number. */
export const maxNamedFaults = 100;

/** Those that are named, once a batch was read: the first, and where the list broke off. */
export function namedFaults(
  named: readonly UploadFault[],
  { faults, breaksOff }: Pick<UploadBatch<unknown>, 'faults' | 'breaksOff'>,
): UploadFault[] {
  const first = [...named, ...faults].slice(0, maxNamedFaults);
  const last = faults.at(-1);
  return last === undefined || !breaksOff || first.includes(last) ? first : [...first, last];
}

/** What became of an upload so far. */
export type UploadProgress = {
  readonly received: number;
  readonly added: number;
  readonly duplicates: number;
  readonly invalid: number;
  /** The first of them. */
  readonly errors: readonly UploadFault[];
  /** Of all that was read of it: what another upload under the same key does not have. */
  readonly digest: string;
  readonly isDone: boolean;
  /** Its list was at fault as a whole, and is not read further than it was. */
  readonly brokeOff: boolean;
};

export const noProgress: UploadProgress = {
  ...{ received: 0, added: 0, duplicates: 0, invalid: 0 },
  ...{ errors: [], digest: '', isDone: false, brokeOff: false },
};

/** The digest of all that was read, once `next` was read as well. */
export function chainDigest(digest: string, next: string): string {
  return hash('sha256', digest + next, 'base64url');
}

/** Records of an upload that are stored together, or not at all. */
export type UploadBatch<Item> = {
  readonly received: number;
  readonly items: readonly Item[];
  /** Of the records that are not valid. */
  readonly faults: readonly UploadFault[];
  /** Of the records as they came. */
  readonly hash: string;
  /** Behind the last of them the list is at fault as a whole. */
  readonly breaksOff: boolean;
};
