/** The operator commands as real processes: what they print, where, and with which exit code. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { makeCertificate } from './support/certificate.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function cli(args: readonly string[], input = '', env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['src/cli.ts', ...args], {
    cwd: root,
    input,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

it('npm run cli says what Postrider makes of a reply', () => {
  const args = ['run', '--silent', 'cli', '--', 'classify', '550 5.1.1 <u@example.org>: User unknown'];
  const { status, stdout } = spawnSync('npm', args, { cwd: root, input: '', encoding: 'utf8', timeout: 30_000 });
  expect(stdout).toBe(`550 5.1.1 <u@example.org>: User unknown
  row       unknown_user_by_enhanced
  action    fail
  category  unknown_user
  suppress  yes
  wait      none named
  The recipient has bounced and is not tried again. The reply is about the address itself, which is suppressed.
`);
  expect(status).toBe(0);
});

it('classifies several replies at once, each with the wait it names and what follows from it', () => {
  const { status, stdout, stderr } = cli([
    'classify',
    '451 4.7.1 Greylisted, try again in 3700 seconds',
    '421 4.7.28 Too many messages',
    '535 5.7.8 Authentication failed',
    '552 5.2.2 Mailbox full',
    '250 2.0.0 Ok',
  ]);
  expect([status, stderr]).toEqual([0, '']);
  const [greylisted, tooMany, login, full, ok] = stdout.split('\n\n');
  expect(greylisted).toMatch(/wait +1 h 1 min 40 s\n.*deferred.*no sooner than the 1 h 1 min 40 s it asks for/);
  expect(tooMany).toMatch(/action +slow_down\n[\s\S]*asks for less.*by the retry schedule/);
  expect(login).toMatch(/action +stop_transport\n[\s\S]*no attempt is counted/);
  expect(full).toMatch(/suppress +no\n[\s\S]*bounced.*is not suppressed/);
  expect(ok).toMatch(/action +accept\n[\s\S]*ends as sent/);
});

it('reads replies from stdin, one a line, the lines of one together', () => {
  const { status, stdout } = cli(
    ['classify'],
    '452-4.2.2 Over\r\n452 4.2.2 quota\r\n\n250 Ok\n550-5.1.1 No such\\n550 5.1.1 user\n',
  );
  expect(status).toBe(0);
  expect(stdout.match(/^ {2}category .*$/gm)).toEqual([
    '  category  mailbox_full',
    '  category  accepted',
    '  category  unknown_user',
  ]);
});

it('exits with 64 at a reply without a code, and says which one; the others are classified', () => {
  const { status, stdout, stderr } = cli(['classify', 'User unknown', '250 Ok']);
  expect([status, stderr]).toEqual([64, 'Not an SMTP reply, which begins with a three-digit code: "User unknown"\n']);
  expect(stdout).toContain('accepted');
});

it.each([[['classify']], [['classify', '']]])('exits with 64 when there is nothing to classify: %j', (args) => {
  const { status, stdout, stderr } = cli(args);
  expect([status, stdout]).toEqual([64, '']);
  expect(stderr).toMatch(/^No reply was given|^Not an SMTP reply/);
});

it('shows no control character of a reply', () => {
  const { stdout } = cli(['classify', '550 \u001b[2Jgone\u0007']);
  expect(stdout.split('\n')[0]).toBe('550  [2Jgone ');
});

describe('transports', () => {
  const dir = mkdtempSync(join(tmpdir(), 'pr-cli-'));
  const path = join(dir, 'transports.yaml');
  const env = { SES_USER: 'AKIAHUNTER', SES_PASSWORD: 'hunter2' };
  afterAll(() => rmSync(dir, { recursive: true }));

  it('prints the plan of the example in docs/delivery.md, without a secret', async () => {
    await using certificate = await makeCertificate();
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/delivery.md'), 'utf8')) ?? [];
    writeFileSync(join(dir, 'smtp'), 'hunter2');
    writeFileSync(path, example.replace('/run/secrets/smtp', 'smtp').replace('/etc/ca.pem', certificate.file));
    const { status, stdout, stderr } = cli(['transports', path], '', env);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`transports
  ses     email-smtp.eu-west-1.amazonaws.com:465, TLS from the first byte, login with a password, 20 connections, each closed after 1000 messages or 5m, 14/s,50000/d
  backup  mail.example.com:587, STARTTLS (own CA), login with a password, 10 connections, each closed after 1000 messages or 5m, no rate
routes
  default    ses, then backup; 25% of the connections kept for transactional mail
  marketing  ses 1 : backup 3; 25% of the connections kept for transactional mail
rules, the first that holds decides
  lane bulk -> marketing
  from shop.example, tag kind=receipt -> default
`);
  });

  it('prints every fault and exits with 1', () => {
    writeFileSync(path, 'transports:\n  a: {host: h.example, port: hunter2, tls: maybe}\n');
    const { status, stdout, stderr } = cli(['transports', path], '', env);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toBe(
      'line 2, column 30: transports.a.port: expected a whole number from 1 to 65535\n' +
        'line 2, column 44: transports.a.tls: expected require, opportunistic or none\n',
    );
  });

  it('exits with 64 without a file', () => {
    expect(cli(['transports'])).toMatchObject({ status: 64, stderr: expect.stringMatching(/^No file was given/) });
  });
});

it.each([
  ['transports', 'good.yaml', 'another.yaml'],
  ['health', 'live', 'ready'],
  ['metrics', 'extra'],
  ['openapi', '--yaml'],
  ['settings', '--x'],
])('%s takes no more than its usage says: it is printed, and the exit code is 64', (...words) => {
  const { status, stdout, stderr } = cli(words);
  expect([status, stdout]).toEqual([64, '']);
  expect(stderr).toMatch(new RegExp(`^Usage: npm run cli -- ${words[0]}`));
});

it('an unknown command, also one by the name of a property, prints what there is and exits with 64', () => {
  for (const name of ['fly', 'toString']) {
    const { status, stderr } = cli([name]);
    expect(status).toBe(64);
    expect(stderr).toMatch(
      new RegExp(`^Unknown command: ${name}\nUsage: [\\s\\S]*classify[\\s\\S]*openapi[\\s\\S]*settings`),
    );
  }
});

it.each([['--help'], ['campaign', '--help'], ['transports', '-h']])(
  '%s %s prints a usage, and exits with 0',
  (...words) => {
    const usage = { status: 0, stderr: '', stdout: expect.stringMatching(/^Usage: /) };
    expect(cli(words)).toMatchObject(usage);
  },
);
