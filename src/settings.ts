/** Every setting once: its name, its form, its default, and the words for the table in the README. */
import { z } from 'zod';
import {
  byteSize,
  duration,
  durations,
  flag,
  longestTimerMs,
  memoryLimit,
  pem,
  publicUrl,
  redisUrl,
  roles,
  secretKey,
  smtpUrl,
  wholeNumber,
} from './config-forms.ts';

function expects<T extends z.ZodType>(schema: T, expected: string, what: string): T {
  return schema.meta({ expected, what });
}

export const settings = z.object({
  NODE_ENV: expects(
    z.enum(['development', 'production', 'test']).default('development'),
    '`development`, `production` or `test`',
    'With `production`, there is no dev inbox and nothing is generated.',
  ),
  ROLES: expects(roles.prefault('api,worker'), '`api`, `worker` or both with a comma', 'What this process does.'),
  HOST: expects(
    z.string().min(1).default('127.0.0.1'),
    'an address',
    'Address the API listens on. Anyone who can reach it can also read the dev inbox.',
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
    redisUrl.optional(),
    '`redis://`, `rediss://` or `unix://` URL',
    'Redis or Valkey 6.2 or later, with user, password and database as in `docs/redis.md`. Without it Postrider runs its own in `DATA_DIR`.',
  ),
  REDIS_CA: expects(
    pem.optional(),
    'a certificate in PEM',
    'The certificate to trust with `rediss://`, instead of the public authorities. `REDIS_CA_FILE` names a file that contains it.',
  ),
  REQUIRE_DURABLE_REDIS: expects(
    flag.prefault('false'),
    '`true` or `false`',
    'Whether to refuse to start on a Redis that may lose accepted mail: without `appendonly yes` and `appendfsync always`, or with an eviction policy.',
  ),
  SMTP_URL: expects(
    smtpUrl.optional(),
    '`smtps://user:pass@host:465` or `smtp://user:pass@host:587`, with `?connections=`, `messages_per_connection=`, `max_age=`, `rate=`, `quota=`, `auth=`, `ehlo=`, `tls=`, `tls_verify=`, `name=`',
    'The SMTP server mail goes to. Without it and `TRANSPORTS_FILE`, outside production, mail goes to the dev inbox.',
  ),
  TRANSPORTS_FILE: expects(
    z.string().min(1).optional(),
    'the path of a YAML file',
    'Several SMTP servers, routes over them and rules, instead of `SMTP_URL`. It is read again when it changes.',
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
    'Encrypts webhook secrets and OAuth tokens at rest, seals unsubscribe links, and derives the secrets and tokens that a repeat under an Idempotency-Key gets again. It must be the same in every process. After a change, webhooks need new secrets, and links in mail already sent stop working. Generated in `DATA_DIR` outside production.',
  ),
  PUBLIC_URL: expects(
    publicUrl.optional(),
    'an http or https URL',
    'The address of the API from outside: unsubscribe links begin with it, and its host is sent to mail servers (EHLO). In production only an https address gives such links, and bulk mail without a way to unsubscribe is refused.',
  ),
  API_BODY_BYTES: expects(
    byteSize('1mb', '64gb').prefault('64mb'),
    'bytes such as `64mb`',
    'Total size of the request bodies over 256 KB that one API handles at a time. Further ones are refused with 503, before they are read if they state their length. Smaller bodies have separate room, half as much. A batch counts with its base written out. Letters made from templates count too. A key, with the keys it made, gets at most three quarters of the room that other keys leave. While handled, bodies take up to five times as much memory.',
  ),
  WORKER_CONCURRENCY: expects(
    wholeNumber(1, 10_000).prefault('100'),
    'a whole number from 1',
    'Emails of each lane that one worker handles at a time, and as many webhook POSTs; in addition, each webhook endpoint may have one. Set it to more than twice the connections of a transport: each connection to a distant server has two emails under way.',
  ),
  WORKER_MAIL_BYTES: expects(
    byteSize('1mb', '64gb').prefault('64mb'),
    'bytes such as `64mb`',
    'Total size of the large emails, with their files, that one worker handles at a time, for each lane. While they are sent, they take about four times as much memory. Files that are fetched have as much room of their own.',
  ),
  WORKER_LOCK: expects(
    duration(500, longestTimerMs).prefault('30s'),
    'a duration such as `30s`',
    'If a worker dies, another takes over its mail within twice this time.',
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
    'Waits between tries of a webhook POST that is not answered with 2xx.',
  ),
  WEBHOOK_TIMEOUT: expects(
    duration(100, longestTimerMs).prefault('15s'),
    'a duration such as `15s`',
    'How long a webhook POST may take, from connecting to the end of the answer.',
  ),
  WEBHOOK_DISABLE_AFTER: expects(
    duration(0).prefault('5d'),
    'a duration such as `5d`',
    'A webhook endpoint that fails for this long without one success is disabled.',
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
    byteSize('0', '256mb').prefault('25mb'),
    'bytes such as `25mb`',
    'Maximum size of all files of one email together, decoded. The request itself may have 40 MB.',
  ),
  MAX_WAITING_EMAILS: expects(
    wholeNumber(1, 1_000_000_000).prefault('1000000'),
    'a whole number from 1',
    'New mail of a lane is refused with 503 while this many emails of that lane wait, deferred ones included. Scheduled mail does not count before its time, nor do recipients of campaigns, because they are stored before they wait.',
  ),
  MAX_REDIS_MEMORY: expects(
    memoryLimit.prefault('90%'),
    "a share of Redis' `maxmemory` such as `90%`, or a size such as `512mb` or `2gb`",
    'New mail is refused with 503 while Redis uses this much. A share has no effect if Redis has no `maxmemory`.',
  ),
  RETENTION_EVENTS: expects(
    duration(0).prefault('4d'),
    'a duration such as `4d`',
    'How long events are kept, for webhooks that are tried again and for replay. The default `WEBHOOK_SCHEDULE` ends after 76 to 84 hours; events removed before their last try are lost.',
  ),
  MAX_EVENTS: expects(
    wholeNumber(1_000, 1_000_000_000).prefault('5000000'),
    'a whole number from 1000',
    'Maximum number of events kept, about 250 bytes each. The oldest are removed first, even if an endpoint that is down has not got them yet, but never before they were queued for their endpoints.',
  ),
  RETENTION_CONTENT: expects(
    duration(0).prefault('1h'),
    'a duration such as `1h`',
    'How long the bodies and files of an email are kept once nothing is pending or held; after that it cannot be sent again.',
  ),
  RETENTION_RECORDS: expects(
    duration(0).prefault('7d'),
    'a duration such as `7d`',
    'How long an email can be looked up, counted from the same moment. Its content is removed then at the latest.',
  ),
  SHUTDOWN_TIMEOUT: expects(
    duration(0, longestTimerMs).prefault('20s'),
    'a duration such as `20s`',
    'How long a stop waits for running work.',
  ),
  LOG_LEVEL: expects(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    '`trace`, `debug`, `info`, `warn`, `error` or `silent`',
    'The lowest level that is logged. No line is below `info`.',
  ),
});
