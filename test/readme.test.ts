/** The README's examples, typed as they stand: its curls send an email that the inbox shows, a webhook that arrives signed, and its events. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startPostrider } from './support/postrider.ts';
import { startProcess } from './support/processes.ts';
import { openReceiver } from './support/receiver.ts';
import { until } from './support/until.ts';

it('the examples of the README work as written', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const curls = [...readme.matchAll(/```sh\n(curl [\s\S]*?)```/g)].map(([, block = '']) => block);
  expect(curls.length).toBeGreaterThan(4);
  const dir = await mkdtemp(join(tmpdir(), 'pr-readme-'));
  await using receiver = await openReceiver();
  {
    await using postrider = await startPostrider({
      DATA_DIR: dir,
      POSTRIDER_API_KEY: undefined,
      SECRET_KEY: undefined,
    });
    const toHere = (block = '') =>
      block
        .replaceAll('http://127.0.0.1:8080', postrider.url)
        .replaceAll('.postrider/', `${dir}/`)
        .replaceAll('http://127.0.0.1:9000/', receiver.url);
    const type = (block = '') =>
      JSON.parse(execFileSync('sh', ['-c', toHere(block)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
    const [sendEmail, addWebhook, readEvents, followEvents, ...others] = curls;
    const webhook = type(addWebhook);
    await using stream = startProcess('sh', ['-c', `exec ${toHere(followEvents)}`]);
    await stream.printed(/^id: \d/m);
    const email = type(sendEmail);
    expect(email).toMatchObject({ object: 'email', status: 'queued' });
    const [event] = await until('the signed webhook', () => {
      const events = receiver.eventsOf(email.id, webhook.signing_secret);
      return events.length > 0 && events;
    });
    expect(event).toMatchObject({
      type: 'email.sent',
      data: { email_id: email.id, subject: 'Hello', transport: 'inbox' },
    });
    expect(JSON.stringify((await postrider.api('GET', '/dev/inbox.json')).body)).toContain('Hello');
    expect(type(readEvents)).toMatchObject({
      object: 'list',
      data: [{ type: 'email.sent', data: { email_id: email.id } }],
    });
    const [, live = ''] = await stream.printed(/^event: email\.sent\ndata: (.*)$/m);
    expect(JSON.parse(live)).toMatchObject({ type: 'email.sent', data: { email_id: email.id } });
    for (const other of others) expect(type(other)).not.toHaveProperty('statusCode');
    postrider.kill('SIGTERM');
    expect(await postrider.ended).toBe(0);
  }
  await rm(dir, { recursive: true, force: true });
});
