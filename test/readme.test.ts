/** The README's examples, typed as they stand: its curls send an email that the inbox shows, a webhook that arrives signed, and its events. */
import { expect, it } from 'vitest';
import { blocksIn, readDocument } from './support/documents.ts';
import { startProcess } from './support/processes.ts';
import { openTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';

it('the examples of the README work as written', async () => {
  const blocks = blocksIn(readDocument('README.md'));
  const curls = blocks
    .filter(({ language, code }) => language === 'sh' && code.startsWith('curl '))
    .map(({ code }) => code);
  const [sendEmail = '', addWebhook = '', readEvents = '', followEvents = '', ...others] = curls;
  expect(curls.length).toBeGreaterThanOrEqual(4);
  await using terminal = await openTerminal();
  const { postrider, receiver } = terminal;
  const type = async (block: string) => JSON.parse(await terminal.sh(block));
  const webhook = await type(addWebhook);
  await using stream = startProcess('sh', ['-c', `exec ${terminal.typed(followEvents)}`]);
  await stream.printed(/^id: \d/m);
  const email = await type(sendEmail);
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
  expect(await type(readEvents)).toMatchObject({
    object: 'list',
    data: [{ type: 'email.sent', data: { email_id: email.id } }],
  });
  const [, live = ''] = await stream.printed(/^event: email\.sent\ndata: (.*)$/m);
  expect(JSON.parse(live)).toMatchObject({ type: 'email.sent', data: { email_id: email.id } });
  for (const other of others) expect(await type(other)).not.toHaveProperty('statusCode');
  for (const { language, code } of blocks) if (language === 'js') await terminal.js(code);
  postrider.kill('SIGTERM');
  expect(await postrider.ended).toBe(0);
});
