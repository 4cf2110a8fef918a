/** Configuration: what is read, from where, and that every fault is named at once without repeating a secret. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../src/config.ts';
import { startProcess } from './support/processes.ts';

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

const production = {
  NODE_ENV: 'production',
  SECRET_KEY: '0'.repeat(64),
  SMTP_URL: 'smtps://u:p@h.example',
  POSTRIDER_API_KEY: 'pr_0123456789012345678901',
};

describe('configuration', () => {
  it('needs nothing in development, where mail is captured', () => {
    expect(readConfig({})).toMatchObject({
      NODE_ENV: 'development',
      ROLES: ['api', 'worker'],
      HOST: '127.0.0.1',
      PORT: 8080,
      DATA_DIR: '.postrider',
      devInbox: true,
    });
  });

  it('reads durations, lists and keys into their own types', () => {
    const config = readConfig({
      RETRY_SCHEDULE: '10s, 2m,1h',
      SECRET_KEY: Buffer.alloc(32, 1).toString('base64'),
      WORKER_LOCK: '1m',
      MAX_REDIS_MEMORY: '512mb',
      PORT: '',
    });
    expect(config).toMatchObject({
      RETRY_SCHEDULE: [10_000, 120_000, 3_600_000],
      SECRET_KEY: Buffer.alloc(32, 1),
      WORKER_LOCK: 60_000,
      MAX_WAITING_EMAILS: 1_000_000,
      MAX_REDIS_MEMORY: { bytes: 512 * 1_024 ** 2 },
      PORT: 8080,
    });
  });

  it('names every fault at once, with what was expected and never the value', () => {
    const faults = faultsOf({
      PORT: '99999',
      ROLES: 'api,cook',
      SECRET_KEY: 'short-secret',
      REDIS_URL: 'http://x',
      SMTP_URL: 'smtp://u:hunter2@h?tls=none',
      MAX_REDIS_MEMORY: '101%',
      LOG_LEVEL: 'loud',
    });
    expect(faults).toEqual([
      'ROLES: expected `api`, `worker` or both with a comma',
      'PORT: expected a port; 0 takes a free one',
      'REDIS_URL: expected `redis://`, `rediss://` or `unix://` URL',
      'SMTP_URL: would send the password with tls=none: only allowed to a loopback host',
      'SECRET_KEY: expected 32 bytes as hex or base64',
      "MAX_REDIS_MEMORY: expected a share of Redis' `maxmemory` such as `90%`, or a size such as `512mb` or `2gb`",
      'LOG_LEVEL: expected `trace`, `debug`, `info`, `warn`, `error` or `silent`',
    ]);
    expect(faults.join()).not.toMatch(/hunter2|short-secret/);
  });

  it.each(['redis://h/0', 'redis://h', 'redis://h/', 'rediss://u:p@h:1/15', 'unix:///s', 'unix:///s?db=2'])(
    'takes %s for a Redis',
    (url) => {
      expect(readConfig({ REDIS_URL: url }).REDIS_URL).toBe(url);
    },
  );

  it.each(['redis://h/abc', 'redis://h/-1', 'redis://h/0/1', 'unix:///s?db=x', 'nonsense', 'http://h'])(
    'refuses %s for a Redis',
    (url) => {
      expect(() => readConfig({ REDIS_URL: url })).toThrow('REDIS_URL: expected');
    },
  );

  it.each([
    ['redis://h?password=hunter2', 'REDIS_URL: must have nothing after ? or #'],
    ['rediss://h/1?db=2', 'REDIS_URL: must have nothing after ? or #'],
    ['redis://h#hunter2', 'REDIS_URL: must have nothing after ? or #'],
    ['unix:///s?db=2&password=hunter2', 'REDIS_URL: must have nothing after ? or # but db'],
  ])('of %s for a Redis it refuses parts that would be ignored, and repeats none of them', (url, fault) => {
    const faults = faultsOf({ REDIS_URL: url });
    expect(faults).toEqual([expect.stringContaining(fault)]);
    expect(faults.join()).not.toContain('hunter2');
  });

  it('generates nothing in production, and asks each role only for what it needs', () => {
    expect(faultsOf({ NODE_ENV: 'production', PORT: 'x' })).toEqual([
      'PORT: expected a port; 0 takes a free one',
      'SECRET_KEY: is required in production',
      'SMTP_URL or TRANSPORTS_FILE: is required in production',
      'POSTRIDER_API_KEY: is required in production',
    ]);
    expect(faultsOf({ NODE_ENV: 'production', ROLES: 'worker' }).join()).not.toContain('POSTRIDER_API_KEY');
    expect(readConfig(production).devInbox).toBe(false);
  });

  it('in production the API also needs its transports, to report on them and on waiting mail', () => {
    const { SMTP_URL: _, ...rest } = production;
    expect(faultsOf({ ...rest, ROLES: 'api' })).toEqual(['SMTP_URL or TRANSPORTS_FILE: is required in production']);
    expect(faultsOf({ ...production, ROLES: 'api' })).toEqual([]);
  });

  it('a post is leased for longer than its answer may take', () => {
    expect(readConfig({ WEBHOOK_TIMEOUT: '5s', WORKER_LOCK: '7s' }).posting.leaseMs).toBe(12_000);
  });

  it('takes a TRANSPORTS_FILE in place of SMTP_URL, and never both', () => {
    const { SMTP_URL: _, ...rest } = production;
    expect(readConfig({ ...rest, TRANSPORTS_FILE: '/etc/transports.yaml' })).toMatchObject({
      TRANSPORTS_FILE: '/etc/transports.yaml',
    });
    expect(readConfig({ TRANSPORTS_FILE: 'transports.yaml' })).toMatchObject({
      devInbox: false,
      posting: { client: { allowPrivateNetworks: false } },
    });
    const both = ['TRANSPORTS_FILE: is set together with SMTP_URL, expected only one of them'];
    expect(faultsOf({ ...production, TRANSPORTS_FILE: 'x' })).toEqual(both);
    expect(faultsOf({ SMTP_URL: 'smtp://h', TRANSPORTS_FILE: 'x' })).toEqual(both);
    expect(readConfig({ TRANSPORTS_FILE: '', TRANSPORTS: 'x' })).toMatchObject({ devInbox: true });
  });

  const key = Buffer.alloc(32, 0xfb);
  const forms = [key.toString('hex'), key.toString('base64'), key.toString('base64url')];
  it.each([...forms, ` ${forms[0]}\n`])('takes the key %j', (text) => {
    expect(readConfig({ SECRET_KEY: text }).SECRET_KEY).toEqual(key);
  });

  it.each([`!!!${key.toString('base64')}`, `${key.toString('hex')} 0`, 'AAAA '.repeat(11), `${'A'.repeat(43)}==`])(
    'takes no key with stray characters, which a reader of base64 passes over: %s',
    (text) => {
      expect(faultsOf({ SECRET_KEY: text })).toEqual(['SECRET_KEY: expected 32 bytes as hex or base64']);
    },
  );

  it('accepts a CA for TLS only where TLS is used', () => {
    const REDIS_CA = '-----BEGIN CERTIFICATE-----';
    const fault = ['REDIS_CA: is for a REDIS_URL with rediss://, and there is none'];
    for (const REDIS_URL of ['redis://h:6380', 'unix:///s', ''])
      expect(faultsOf({ REDIS_CA, REDIS_URL })).toEqual(fault);
    for (const REDIS_URL of ['rediss://h', 'REDISS://h'])
      expect(readConfig({ REDIS_CA, REDIS_URL })).toMatchObject({ REDIS_CA });
  });

  it('takes a certificate and says how long to keep what ended, the content no longer than its record', () => {
    expect(faultsOf({ REDIS_CA: 'x', REDIS_URL: 'rediss://h' })).toEqual(['REDIS_CA: expected a certificate in PEM']);
    const hour = 3_600_000;
    expect(readConfig({}).emailRetentionMs).toEqual({ content: hour, record: 168 * hour });
    expect(readConfig({ RETENTION_RECORDS: '1m' }).emailRetentionMs).toEqual({ content: 60_000, record: 60_000 });
  });

  it('says what the shortest and the longest is where a duration is outside', () => {
    expect(faultsOf({ WORKER_LOCK: '100ms', RETRY_MAX_AGE: '400d', WEBHOOK_TIMEOUT: '5' })).toEqual([
      'WORKER_LOCK: is too short, expected 500ms at least',
      'RETRY_MAX_AGE: is too long, expected 366d at most',
      'WEBHOOK_TIMEOUT: expected a duration such as `15s`',
    ]);
  });

  it.each(['SHUTDOWN_TIMEOUT', 'WEBHOOK_TIMEOUT', 'WORKER_LOCK'])(
    'takes no %s that a timer could not wait: it would end at once',
    (name) => {
      expect(faultsOf({ [name]: '24h' })).toEqual([]);
      expect(faultsOf({ [name]: '25d' })).toEqual([`${name}: is too long, expected 1d at most`]);
    },
  );

  it.each(['RETRY_SCHEDULE', 'WEBHOOK_SCHEDULE'])('limits each wait of %s to the allowed range', (name) => {
    expect(faultsOf({ [name]: '0s,10s' })).toEqual([`${name}: is too short, expected 50ms at least`]);
    expect(faultsOf({ [name]: '10s,367d' })).toEqual([`${name}: is too long, expected 366d at most`]);
    expect(faultsOf({ [name]: '10s,soon' })).toEqual([`${name}: expected durations such as \`10s,2m,1h\``]);
  });

  it('says how small and how large a size may be', () => {
    expect(faultsOf({ WORKER_MAIL_BYTES: '0', MAX_ATTACHMENT_BYTES: '1gb' })).toEqual([
      'WORKER_MAIL_BYTES: is too small, expected 1mb at least',
      'MAX_ATTACHMENT_BYTES: is too large, expected 256mb at most',
    ]);
    expect(readConfig({ MAX_ATTACHMENT_BYTES: '0' }).MAX_ATTACHMENT_BYTES).toBe(0);
  });

  it('warns if events are removed before their last webhook try, and only then', () => {
    expect(readConfig({}).cautions).toEqual([]);
    expect(readConfig({ RETENTION_EVENTS: '61m', WEBHOOK_SCHEDULE: '1h' }).cautions).toEqual([
      expect.stringMatching(/^RETENTION_EVENTS is shorter than WEBHOOK_SCHEDULE lasts \(66m\)/),
    ]);
  });

  it('warns if records are removed before the last webhook try for their emails', () => {
    expect(readConfig({ RETENTION_RECORDS: '66m', WEBHOOK_SCHEDULE: '1h' }).cautions).toEqual([]);
    expect(readConfig({ RETENTION_RECORDS: '65m', WEBHOOK_SCHEDULE: '1h' }).cautions).toEqual([
      expect.stringMatching(/^RETENTION_RECORDS is shorter than WEBHOOK_SCHEDULE lasts \(66m\)/),
    ]);
  });

  it('in production unsubscribe links are https, in any letter case, and a start warns about another PUBLIC_URL', () => {
    const { publicUrl, cautions } = readConfig({ ...production, PUBLIC_URL: 'HTTPS://mail.shop.example/Post/' });
    expect([publicUrl, cautions]).toEqual(['https://mail.shop.example/Post', []]);
    const plain = readConfig({ ...production, PUBLIC_URL: 'http://mail.shop.example' });
    expect(plain).toMatchObject({ publicUrl: null, ehloName: 'mail.shop.example' });
    expect(plain.cautions).toEqual([expect.stringMatching(/^PUBLIC_URL is not https: .*refused/)]);
    expect(readConfig({ PUBLIC_URL: 'http://mail.shop.example' }).cautions).toEqual([]);
  });

  it.each([
    ['::1', 'http://[::1]:8080'],
    ['0.0.0.0', 'http://127.0.0.1:8080'],
    ['::', 'http://[::1]:8080'],
    ['mail.local', 'http://mail.local:8080'],
  ])("on a machine of one's own the API at %s is reached at %s", (HOST, url) => {
    expect(readConfig({ HOST }).publicUrl).toBe(url);
  });

  it('hands out the variables of the environment it was read from, set ones only', () => {
    const { variable } = readConfig({ SES_PASSWORD: 'p', EMPTY: '' });
    expect([variable('SES_PASSWORD'), variable('EMPTY'), variable('NONE'), variable('toString')]).toEqual([
      'p',
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('reads each variable from a file as well, and refuses both at once', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pr-config-'));
    const file = join(dir, 'key');
    await writeFile(file, 'pr_from_a_file_0123456789\n');
    expect(readConfig({ POSTRIDER_API_KEY_FILE: file }).POSTRIDER_API_KEY).toBe('pr_from_a_file_0123456789');
    expect(faultsOf({ PORT: '1', PORT_FILE: file, HOST_FILE: join(dir, 'none') })).toEqual([
      'HOST_FILE: cannot be read (ENOENT)',
      'PORT: is set both directly and by PORT_FILE',
    ]);
    await rm(dir, { recursive: true });
  });

  it('at fault ends the process with 78 and every fault printed', async () => {
    await using postrider = startProcess(process.execPath, ['src/main.ts'], {
      env: { PORT: 'x', WORKER_CONCURRENCY: '0', REDIS_URL: undefined },
    });
    expect(await postrider.ended).toBe(78);
    expect(postrider.output()).toBe(
      'Configuration is wrong:\n  PORT: expected a port; 0 takes a free one\n  WORKER_CONCURRENCY: expected a whole number from 1\n',
    );
  });
});
