/** Environment -> frozen Config through one declarative zod object; the only reader of process.env. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import {
  byteSize,
  duration,
  durations,
  flag,
  memoryLine,
  publicUrl,
  roles,
  secretKey,
  smtpUrl,
  wholeNumber,
} from './config-forms.ts';

function expects<T extends z.ZodType>(schema: T, expected: string, what: string): T {
  return schema.meta({ expected, what });
}

/** Every setting once: name, form, default, and the words for the table in the README. */
export const settings = z.object({
  NODE_ENV: expects(
    z.enum(['development', 'production', 'test']).default('development'),
    '`development`, `production` or `test`',
    '`production` turns the dev inbox and everything generated off.',
  ),
  ROLES: expects(roles.prefault('api,worker'), '`api`, `worker` or both with a comma', 'What this process does.'),
  HOST: expects(
    z.string().min(1).default('127.0.0.1'),
    'an address',
    'Address the API listens on. Whoever reaches it can also look into the dev inbox.',
  ),
  PORT: expects(wholeNumber(0, 65_535).prefault('8080'), 'a port; 0 takes a free one', 'Port the API listens on.'),
  HEALTH_PORT: expects(
    wholeNumber(0, 65_535).optional(),
    'a port; 0 takes a free one',
    'Port on which a worker without the API answers `/livez`, `/readyz` and `/metrics`, and nothing else. Without it such a worker does not listen.',
  ),
  DATA_DIR: expects(
    z.string().min(1).default('.postrider'),
    'a folder',
    'The local Redis and the generated key and secret.',
  ),
  REDIS_URL: expects(
    z.url({ protocol: /^rediss?$|^unix$/ }).optional(),
    '`redis://`, `rediss://` or `unix://` URL',
    'Redis or Valkey 6.2 or later. Without it Postrider runs its own in `DATA_DIR`.',
  ),
  SMTP_URL: expects(
    smtpUrl.optional(),
    '`smtps://user:pass@host:465` or `smtp://user:pass@host:587`, with `?connections=`, `messages_per_connection=`, `max_age=`, `rate=`, `quota=`, `auth=`, `tls=`, `tls_verify=`, `name=`',
    'The SMTP server mail goes to. Without it and `TRANSPORTS_FILE`, outside production, mail goes to the dev inbox.',
  ),
  TRANSPORTS_FILE: expects(
    z.string().min(1).optional(),
    'the path of a YAML file',
    'Several SMTP servers, routes over them and rules, in place of `SMTP_URL`. Read again when it changes.',
  ),
  POSTRIDER_API_KEY: expects(
    z
      .string()
      .regex(/^pr_[\w-]{20,200}$/)
      .optional(),
    '`pr_` and at least 20 letters, digits, `_` or `-`',
    'The admin API key. Generated in `DATA_DIR` outside production.',
  ),
  SECRET_KEY: expects(
    secretKey.optional(),
    '32 bytes as hex or base64',
    'Encrypts webhook secrets at rest. Generated in `DATA_DIR` outside production.',
  ),
  PUBLIC_URL: expects(
    publicUrl.optional(),
    'an http or https URL',
    'Where the API is reached from outside: links to unsubscribe begin with it. https in production, where bulk mail is refused without it.',
  ),
  WORKER_CONCURRENCY: expects(
    wholeNumber(1, 10_000).prefault('50'),
    'a whole number from 1',
    'Emails of each lane, and as many webhooks, one worker has in hand at a time.',
  ),
  WORKER_MAIL_BYTES: expects(
    byteSize.prefault('64mb'),
    'bytes such as `64mb`',
    'Letters and files of large emails that one worker has in hand at a time, for each lane. While it sends them they take about four times as much memory.',
  ),
  WORKER_LOCK: expects(
    duration(500).prefault('30s'),
    'a duration such as `30s`',
    'Mail in the hands of a worker that died is taken over by another within twice this time.',
  ),
  RETRY_SCHEDULE: expects(
    durations.prefault('10s,30s,2m,10m,30m,1h,2h,4h'),
    'durations such as `10s,2m,1h`',
    'Waits between attempts after a deferral (4xx); the last one repeats.',
  ),
  RETRY_MAX_AGE: expects(
    duration(0).prefault('24h'),
    'a duration such as `24h`',
    'Age at which mail that is still deferred fails.',
  ),
  RETRY_MAX_AGE_BULK: expects(duration(0).prefault('48h'), 'a duration such as `48h`', 'The same for the lane `bulk`.'),
  WEBHOOK_SCHEDULE: expects(
    durations.prefault('5s,5m,30m,2h,5h,10h,14h,20h,24h'),
    'durations such as `10s,2m,1h`',
    'Waits between tries of a webhook that was not answered with 2xx.',
  ),
  WEBHOOK_ALLOW_PRIVATE_NETWORKS: expects(
    flag.optional(),
    '`true` or `false`',
    'Whether webhooks may go to private and loopback addresses. `true` while the dev inbox is on, else `false`.',
  ),
  ATTACHMENT_ALLOW_PRIVATE_NETWORKS: expects(
    flag.prefault('false'),
    '`true` or `false`',
    'Whether attachments given by `path` may be fetched from private and loopback addresses.',
  ),
  MAX_ATTACHMENT_BYTES: expects(
    byteSize.prefault('25mb'),
    'bytes such as `25mb`',
    'All files of one email together, decoded. The request itself may have 40 MB.',
  ),
  MAX_WAITING_EMAILS: expects(
    wholeNumber(1, 1_000_000_000).prefault('1000000'),
    'a whole number from 1',
    'New mail is refused with 503 while this many emails wait, deferred ones included.',
  ),
  MAX_REDIS_MEMORY: expects(
    memoryLine.prefault('90%'),
    "a share of Redis' `maxmemory` such as `90%`, or a size such as `512mb` or `2gb`",
    'New mail is refused with 503 while Redis uses this much. A share of no `maxmemory` is no line.',
  ),
  SHUTDOWN_TIMEOUT: expects(
    duration(0).prefault('20s'),
    'a duration such as `20s`',
    'How long a stop waits for work in hand.',
  ),
  LOG_LEVEL: expects(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    '`trace`, `debug`, `info`, `warn`, `error` or `silent`',
    'Least level that is logged.',
  ),
});

export type SettingName = keyof typeof settings.shape;

type Env = Readonly<Record<string, string | undefined>>;

export type Config = Readonly<z.output<typeof settings>> &
  ReturnType<typeof decided> & { readonly variable: ReturnType<typeof variablesOf> };

/** What follows from the settings. */
function decided(given: z.output<typeof settings>) {
  /** Mail is captured instead of sent: no transport is configured and this is not production. */
  const hasTransport = given.SMTP_URL !== undefined || given.TRANSPORTS_FILE !== undefined;
  const devInbox = given.NODE_ENV !== 'production' && !hasTransport;
  const scheduleMs = given.RETRY_SCHEDULE;
  return {
    devInbox,
    webhooksMayGoPrivate: given.WEBHOOK_ALLOW_PRIVATE_NETWORKS ?? devInbox,
    publicUrl: publicUrlOf(given),
    /** Beyond these new mail is refused. */
    lines: { waitingEmails: given.MAX_WAITING_EMAILS, redisMemory: given.MAX_REDIS_MEMORY },
    policies: {
      transactional: { scheduleMs, maxAgeMs: given.RETRY_MAX_AGE },
      bulk: { scheduleMs, maxAgeMs: given.RETRY_MAX_AGE_BULK },
    },
    /** A job has no more emails than a worker takes in hand at a time. */
    feeding: { jobSize: Math.min(given.WORKER_CONCURRENCY, 25), leaseMs: given.WORKER_LOCK },
    workers: {
      concurrency: given.WORKER_CONCURRENCY,
      lockMs: given.WORKER_LOCK,
      shutdownTimeoutMs: given.SHUTDOWN_TIMEOUT,
    },
  };
}

/** On a machine of one's own the API is where it listens, unless it takes any port. */
function publicUrlOf({ PUBLIC_URL, NODE_ENV, HOST, PORT }: z.output<typeof settings>): string | null {
  if (NODE_ENV === 'production') return PUBLIC_URL?.startsWith('https:') ? PUBLIC_URL : null;
  return PUBLIC_URL ?? (PORT === 0 ? null : `http://${HOST}:${PORT}`);
}

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
    faults.push('TRANSPORTS_FILE: is set beside SMTP_URL, expected one of them');
  faults.push(...missingInProduction(given));
  if (faults.length > 0 || !parsed.success) throw new ConfigError([...new Set(faults)]);
  return Object.freeze({ ...parsed.data, ...decided(parsed.data), variable: variablesOf(env) });
}

/** What a file that is filled in may ask for, beside the settings; undefined when it is unset or empty. */
export function variablesOf(env: Env = process.env): (name: string) => string | undefined {
  return (name) => (Object.hasOwn(env, name) && env[name]) || undefined;
}

/** Production generates nothing: what a role cannot do without must be given. */
function missingInProduction(given: Readonly<Record<string, string>>): string[] {
  if (given.NODE_ENV !== 'production') return [];
  const role = settings.shape.ROLES.safeParse(given.ROLES).data ?? [];
  const needed: SettingName[][] = [['SECRET_KEY']];
  if (role.includes('worker')) needed.push(['SMTP_URL', 'TRANSPORTS_FILE']);
  if (role.includes('api')) needed.push(['POSTRIDER_API_KEY']);
  return needed
    .filter((names) => names.every((name) => given[name] === undefined))
    .map((names) => `${names.join(' or ')}: is required in production`);
}

/** An empty variable counts as unset, as container platforms set them so. */
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
