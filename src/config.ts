/** Environment -> frozen Config; the only reader of process.env. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { localUrl } from './domain/local-url.ts';
import { maxRetryAfterMs } from './domain/post.ts';
import { longestStep, longestWait } from './domain/schedule.ts';
import { publicNameOf } from './domain/transport-fields.ts';
import { settings } from './settings.ts';

type SettingName = keyof typeof settings.shape;

type Env = Readonly<Record<string, string | undefined>>;

export type Config = Readonly<z.output<typeof settings>> &
  ReturnType<typeof decided> & { readonly variable: ReturnType<typeof variablesOf> };

/** What follows from the settings. */
function decided(given: z.output<typeof settings>) {
  const hasTransport = given.SMTP_URL !== undefined || given.TRANSPORTS_FILE !== undefined;
  const devInbox = given.NODE_ENV !== 'production' && !hasTransport;
  const scheduleMs = given.RETRY_SCHEDULE;
  return {
    /** Mail is captured instead of sent: no transport is configured and this is not production. */
    devInbox,
    publicUrl: publicUrlOf(given),
    /** EHLO name for transports that set none; null when we have no name of our own. */
    ehloName: publicNameOf(given.PUBLIC_URL ?? null),
    /** Settings that are allowed but hardly meant; printed at the start. */
    cautions: cautionsOf(given),
    /** Beyond these limits new mail is refused. */
    loadLimits: { waitingEmails: given.MAX_WAITING_EMAILS, redisMemory: given.MAX_REDIS_MEMORY },
    policies: {
      transactional: { scheduleMs, maxAgeMs: given.RETRY_MAX_AGE },
      bulk: { scheduleMs, maxAgeMs: given.RETRY_MAX_AGE_BULK },
    },
    /** A job takes its places together: with a quarter of them at most, three quarters are always in use. */
    feeding: { jobSize: Math.min(Math.ceil(given.WORKER_CONCURRENCY / 4), 25), leaseMs: given.WORKER_LOCK },
    emailRetentionMs: {
      content: Math.min(given.RETENTION_CONTENT, given.RETENTION_RECORDS),
      record: given.RETENTION_RECORDS,
    },
    eventRetention: { eventsMs: given.RETENTION_EVENTS, events: given.MAX_EVENTS },
    posting: {
      policy: { scheduleMs: given.WEBHOOK_SCHEDULE, disableAfterMs: given.WEBHOOK_DISABLE_AFTER },
      client: {
        allowPrivateNetworks: given.WEBHOOK_ALLOW_PRIVATE_NETWORKS ?? devInbox,
        deadlineMs: given.WEBHOOK_TIMEOUT,
      },
      /** A post is settled well before its lease ends. */
      leaseMs: given.WEBHOOK_TIMEOUT + given.WORKER_LOCK,
      longestWaitMs: longestStep(given.WEBHOOK_SCHEDULE, maxRetryAfterMs),
    },
    workers: { concurrency: given.WORKER_CONCURRENCY, lockMs: given.WORKER_LOCK },
  };
}

function cautionsOf(given: z.output<typeof settings>): string[] {
  const longestMs = longestWait(given.WEBHOOK_SCHEDULE);
  const lasts = `is shorter than WEBHOOK_SCHEDULE lasts (${Math.ceil(longestMs / 60_000)}m)`;
  const cautions = {
    [`RETENTION_EVENTS ${lasts}: webhooks that are down for longer lose events`]: given.RETENTION_EVENTS < longestMs,
    [`RETENTION_RECORDS ${lasts}: webhooks that are down for longer get events without the tags, metadata and sender of the email`]:
      given.RETENTION_RECORDS < longestMs,
    'PUBLIC_URL is not https: it gives no unsubscribe links, and bulk mail without its own List-Unsubscribe header is refused':
      given.PUBLIC_URL !== undefined && publicUrlOf(given) === null,
  };
  return Object.entries(cautions).flatMap(([words, holds]) => (holds ? [words] : []));
}

/** Production takes only an https URL. Elsewhere the default is where the API listens, unless it takes any free port. */
function publicUrlOf({ PUBLIC_URL, NODE_ENV, HOST, PORT }: z.output<typeof settings>): string | null {
  if (NODE_ENV === 'production') return PUBLIC_URL?.startsWith('https:') ? PUBLIC_URL : null;
  return PUBLIC_URL ?? (PORT === 0 ? null : localUrl(HOST, PORT));
}

/** The exit code of a process that has a wrong configuration: sysexits.h EX_CONFIG. */
export const exitConfig = 78;

export class ConfigError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`Configuration is wrong:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

/** @throws ConfigError naming every variable at fault and what was expected; values are never repeated, they may be secrets */
export function readConfig(env: Env = process.env): Config {
  const given: Record<string, string> = {};
  const faults: string[] = [];
  for (const name of Object.keys(settings.shape)) readVariable(env, name, given, faults);
  const parsed = settings.safeParse(given);
  if (!parsed.success) faults.push(...parsed.error.issues.map(describeFault));
  if (given.SMTP_URL !== undefined && given.TRANSPORTS_FILE !== undefined)
    faults.push('TRANSPORTS_FILE: is set together with SMTP_URL, expected only one of them');
  if (given.REDIS_CA !== undefined && !/^rediss:/i.test(given.REDIS_URL ?? ''))
    faults.push('REDIS_CA: is for a REDIS_URL with rediss://, and there is none');
  faults.push(...missingInProduction(given));
  if (faults.length > 0 || !parsed.success) throw new ConfigError([...new Set(faults)]);
  return Object.freeze({ ...parsed.data, ...decided(parsed.data), variable: variablesOf(env) });
}

/** A variable that `TRANSPORTS_FILE` may use, besides the settings; undefined when it is unset or empty. */
export function variablesOf(env: Env = process.env): (name: string) => string | undefined {
  return (name) => (Object.hasOwn(env, name) && env[name]) || undefined;
}

/** In production no secret is generated: what a role needs must be configured. The API reports on transports, so it has to know them. */
function missingInProduction(given: Readonly<Record<string, string>>): string[] {
  if (given.NODE_ENV !== 'production') return [];
  const role = settings.shape.ROLES.safeParse(given.ROLES).data ?? [];
  const needed: SettingName[][] = [['SECRET_KEY'], ['SMTP_URL', 'TRANSPORTS_FILE']];
  if (role.includes('api')) needed.push(['POSTRIDER_API_KEY']);
  return needed
    .filter((names) => names.every((name) => given[name] === undefined))
    .map((names) => `${names.join(' or ')}: is required in production`);
}

/** An empty variable counts as unset: container platforms set variables that way. */
function readVariable(env: Env, name: string, given: Record<string, string>, faults: string[]): void {
  const value = env[name] || undefined;
  const file = env[`${name}_FILE`] || undefined;
  if (value !== undefined && file !== undefined) faults.push(`${name}: is set both directly and by ${name}_FILE`);
  if (value !== undefined) given[name] = value;
  if (value !== undefined || file === undefined) return;
  try {
    given[name] = readFileSync(file, 'utf8').trimEnd();
  } catch (error) {
    faults.push(`${name}_FILE: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}

function describeFault(issue: z.core.$ZodIssue): string {
  const name = String(issue.path[0]) as SettingName;
  if (issue.code === 'custom' && issue.message !== 'Invalid input') return `${name}: ${issue.message}`;
  return `${name}: expected ${String(settings.shape[name].meta()?.expected)}`;
}

/** The configuration table of the README. */
export function settingsTable(): string {
  const rows = Object.entries(settings.shape).map(([name, schema]) => {
    const { expected, what } = schema.meta() as { expected: string; what: string };
    const fallback = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }).default;
    return `| \`${name}\` | ${fallback === undefined ? '' : `\`${String(fallback)}\``} | ${expected} | ${what} |`;
  });
  return ['| variable | default | expected | what it does |', '|---|---|---|---|', ...rows].join('\n');
}
