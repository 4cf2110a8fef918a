/** Words what zod finds wrong: every issue becomes a fault with a place, a code and a short phrase that says what is expected. */
import type { z } from 'zod';
import type { Fault } from '../domain/problem.ts';
import { toPointer } from './pointer.ts';

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

/** Option for a schema's `safeParse`: words every issue for which the schema has no message of its own. */
export const wording = { error: wordIssue };

const isRequired = 'is required';

/** The pointer prefix for each part of a request, as fastify names the parts. A fault in the body has a plain JSON pointer. */
const pointerPrefixes: Readonly<Record<string, string>> = {
  querystring: '#/query',
  params: '#/path',
  headers: '#/header',
};

/** @param part of the request, as fastify names it; any name without a prefix means the body */
export function faultsOf(issues: readonly Issue[], part = 'body'): Fault[] {
  const prefix = pointerPrefixes[part] ?? '';
  return issues.flatMap((issue) => toFaults(issue, prefix));
}

/** Fields of the Resend API that would do harm if they were ignored, and what to use instead. */
const absent: ReadonlyMap<string, string> = new Map([
  [
    'topic_id',
    'is not supported: there are no topics, so recipients who left one would still get the mail. Leave the field out, and exclude them yourself or by /v1/suppressions',
  ],
  ['domain_id', 'is not known here: name the domains that it may send from in from_domains, such as ["example.com"]'],
]);

function toFaults(issue: Issue, prefix: string): Fault[] {
  const pointer = prefix + toPointer(issue.path);
  if (issue.code === 'unrecognized_keys') {
    const usual = prefix.startsWith('#') ? 'is not a known parameter' : 'is not a known field';
    return issue.keys.map((key) => ({
      pointer: pointer + toPointer([key]),
      code: 'unknown_field',
      message: absent.get(inSnakeCase(key)) ?? usual,
    }));
  }
  const branch = issue.code === 'invalid_union' ? bestBranch(issue.errors) : undefined;
  if (branch !== undefined) return branch.flatMap((inner) => toFaults(inner, pointer));
  return [{ pointer, code: issue.message === isRequired ? 'required' : issue.code, message: issue.message }];
}

/** `domainId`, as the fields of Resend's SDK for Node.js are written, is `domain_id`. */
function inSnakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The branch of a union that a value was meant for: of the branches with its type, the one with the fewest faults. */
function bestBranch(branches: readonly Issue[][]): Issue[] | undefined {
  const meant = branches.filter((issues) => !issues.some(isOfOtherType));
  return meant.toSorted((a, b) => a.length - b.length)[0];
}

function isOfOtherType(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_union') return bestBranch(issue.errors) === undefined;
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}

/** Never repeats the value: it may be a secret, and of any length. */
function wordIssue(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? isRequired : mustBeOf(issue.expected);
    case 'invalid_value':
      return issue.input === undefined ? isRequired : oneOf(issue.values);
    case 'too_small':
      return sized(issue.origin, issue.minimum, issue.exact ? 'exactly' : issue.inclusive ? 'at least' : 'more than');
    case 'too_big':
      return sized(issue.origin, issue.maximum, issue.exact ? 'exactly' : issue.inclusive ? 'at most' : 'less than');
    case 'invalid_format':
      return formatted(issue);
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return 'has unknown fields';
    case 'invalid_union':
      return union(issue);
    case 'invalid_key':
      return `has a name that ${issue.issues[0]?.message ?? 'is not valid'}`;
    case 'invalid_element':
      return `has an item that ${issue.issues[0]?.message ?? 'is not valid'}`;
    case 'custom':
      return 'is not valid';
  }
}

const types: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  nan: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  map: 'an object',
  array: 'an array',
  tuple: 'an array',
  set: 'an array',
  null: 'null',
  date: 'a time',
};

function mustBeOf(expected: string): string {
  if (expected === 'nonoptional') return isRequired;
  return types[expected] === undefined ? 'must be left out' : `must be ${types[expected]}`;
}

function oneOf(values: readonly unknown[]): string {
  return `must be ${values.length > 1 ? 'one of ' : ''}${values.map(String).join(', ')}`;
}

/** Wording for the length of a text, the size of a list or the range of a number. */
function sized(origin: string, limit: number | bigint, relation: string): string {
  const isOne = Number(limit) === 1;
  if (origin === 'string') return `must be ${relation} ${limit} ${isOne ? 'character' : 'characters'}`;
  if (origin === 'array' || origin === 'set') return `must have ${relation} ${limit} ${isOne ? 'item' : 'items'}`;
  return `must be ${relation} ${limit}`;
}

const formats: Readonly<Record<string, string>> = {
  url: 'a URL',
  email: 'an email address',
  datetime: 'a time such as 2030-01-31T09:30:00Z',
  date: 'a date such as 2030-01-31',
  base64: 'base64',
  safeint: 'a whole number',
};

function formatted(issue: Extract<RawIssue, { code: 'invalid_format' }>): string {
  if (issue.format === 'starts_with') return `must start with ${issue.prefix}`;
  if (issue.format === 'ends_with') return `must end with ${issue.suffix}`;
  if (issue.format === 'includes') return `must contain ${issue.includes}`;
  if (issue.format === 'regex') return `must match ${issue.pattern}`;
  return `must be ${formats[issue.format] ?? `a valid ${issue.format}`}`;
}

/** Names the types that a union accepts, for a value that has none of them. */
function union(issue: Extract<RawIssue, { code: 'invalid_union' }>): string {
  if (issue.input === undefined) return isRequired;
  if (Array.isArray(issue.options)) return oneOf(issue.options);
  const wanted = issue.errors.flatMap((issues) => issues.filter(isOfOtherType).map(({ message }) => message));
  return wanted.length === 0 ? 'is not valid' : [...new Set(wanted)].join(' or ').replaceAll(' or must be ', ' or ');
}
