/** The forms of settings: text -> value. The words for what a form expects are next to each setting. */
import { z } from 'zod';
import { parseMemoryLimit } from './domain/back-pressure.ts';
import { formatDuration, parseDuration } from './domain/duration.ts';
import { parseSmtpUrl } from './domain/smtp-url.ts';
import { webUrl } from './domain/web-url.ts';

const unitBytes: Readonly<Record<string, number>> = { kb: 1_024, mb: 1_024 ** 2, gb: 1_024 ** 3 };

const durationText = z.string().transform((text, context) => {
  const ms = parseDuration(text);
  if (ms === null) context.addIssue({ code: 'custom' });
  return ms ?? z.NEVER;
});

const longestMs = 366 * 86_400_000;

/** A timer of Node waits 24.8 days at most: a longer one fires at once. */
export const longestTimerMs = 24 * 3_600_000;

/** A duration out of bounds is answered with the bound: it is well written, so the form alone would not explain the fault. */
export const duration = (minMs: number, maxMs = longestMs) =>
  durationText
    .refine((ms) => ms >= minMs, { message: `is too short, expected ${formatDuration(minMs)} at least` })
    .refine((ms) => ms <= maxMs, { message: `is too long, expected ${formatDuration(maxMs)} at most` });

/** Least wait between tries: shorter ones would only repeat the same try. */
const shortestWaitMs = 50;

export const durations = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(duration(shortestWaitMs)).min(1));

export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((count) => count >= min && count <= max);

const bytesText = z
  .string()
  .regex(/^\d+(?:kb|mb|gb)?$/i)
  .transform(bytesOf);

function bytesOf(text: string): number {
  return Number.parseInt(text, 10) * (unitBytes[text.replace(/\d+/, '').toLowerCase()] ?? 1);
}

/** @param min such as `1mb` */
export const byteSize = (min: string, max: string) =>
  bytesText
    .refine((bytes) => bytes >= bytesOf(min), { message: `is too small, expected ${min} at least` })
    .refine((bytes) => bytes <= bytesOf(max), { message: `is too large, expected ${max} at most` });

export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

const hexKey = /^[0-9a-f]{64}$/i;
/** Base64 of either alphabet. Node.js ignores other characters, where another reader would get another key, or none: so they are refused. */
const base64Key = /^[\w+/-]{43}=?$/;

export const secretKey = z
  .string()
  .trim()
  .refine((text) => hexKey.test(text) || base64Key.test(text))
  .transform((text) => Buffer.from(text, hexKey.test(text) ? 'hex' : 'base64'));

/** `redis://…/2` and `unix://…?db=2` name a database by its number. Any other part would be ignored, or be a secret in the wrong place. */
export const redisUrl = z.url({ protocol: /^rediss?$|^unix$/ }).superRefine((text, context) => {
  const place = URL.parse(text);
  if (place === null) return;
  const isSocket = place.protocol === 'unix:';
  const known = isSocket ? ['db'] : [];
  const unknown = [...place.searchParams.keys()].filter((name) => !known.includes(name));
  if (unknown.length > 0 || place.hash !== '')
    context.addIssue({ code: 'custom', message: isSocket ? socketQuery : noQuery });
  const database = isSocket ? place.searchParams.get('db') : place.pathname.slice(1);
  if (!/^\d*$/.test(database ?? '')) context.addIssue({ code: 'custom' });
});

const noQuery = 'must have nothing after ? or #: user and password come before the host, the database after its /';
const socketQuery = 'must have nothing after ? or # but db: user and password come before the path';

export const pem = z.string().includes('-----BEGIN CERTIFICATE-----');

export const smtpUrl = z.string().transform((text, context) => {
  const parsed = parseSmtpUrl(text);
  if (!('faults' in parsed)) return parsed;
  for (const message of parsed.faults) context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

/** Paths are appended to it, so it has neither a query nor a slash at its end. Mail programs look for a scheme in lower case. */
export const publicUrl = z
  .string()
  .transform((text) => text.replace(/\/+$/, '').replace(/^https?:/i, (scheme) => scheme.toLowerCase()))
  .pipe(webUrl(/^https?$/, 'is not an http or https URL').refine((url) => !/[?#]/.test(url)));

export const memoryLimit = z.string().transform((text, context) => {
  const limit = parseMemoryLimit(text);
  if (limit === null) context.addIssue({ code: 'custom' });
  return limit ?? z.NEVER;
});

const roleNames = ['api', 'worker'] as const;
export const roles = z
  .string()
  .transform((text) => text.split(',').map((role) => role.trim()))
  .pipe(z.array(z.enum(roleNames)).min(1));
