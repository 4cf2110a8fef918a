/** The README's examples, typed as they stand: they send an email that the inbox shows, a webhook that arrives signed, and its events. */
import { expect, it } from 'vitest';
import { blocksIn, canBeTyped, readDocument } from './support/documents.ts';
import { freePort } from './support/free-port.ts';
import { startProcess } from './support/processes.ts';
import { openTerminal } from './support/terminal.ts';
import { until } from './support/until.ts';

it('the examples of the README work as written', async () => {
  const blocks = blocksIn(readDocument('README.md'));
  const shell = blocks.filter(canBeTyped).map(({ code }) => code);
  const [sendEmail = '', getEmail = '', listen = '', addWebhook = '', readEvents = '', followEvents = '', ...others] =
    shell;
  expect(shell.length).toBeGreaterThanOrEqual(6);
  await using terminal = await openTerminal();
  const { postrider, receiver } = terminal;
  const type = async (block: string) => JSON.parse(await terminal.sh(block));
  const webhook = await type(addWebhook);
  const port = String(await freePort());
  await using listener = startProcess('sh', ['-c', `exec ${listen.replace('9000', port)}`]);
  await type(addWebhook.replace('9000', port));
  await using stream = startProcess('sh', ['-c', `exec ${terminal.typed(followEvents)}`]);
  await stream.printed(/^id: \d/m);
  const email = await type(sendEmail);
  expect(email).toMatchObject({ object: 'email', status: 'queued' });
  expect(await type(getEmail)).toMatchObject({ id: email.id, object: 'email' });
  const [event] = await until('the signed webhook', () => {
    const events = receiver.eventsOf(email.id, webhook.signing_secret);
    return events.length > 0 && events;
  });
  expect(event).toMatchObject({
    type: 'email.sent',
    data: { email_id: email.id, subject: 'Hello', transport: 'inbox' },
  });
  await listener.printed(/^v1,\S+\n\{"type":"email\.sent".*"subject":"Hello"/m);
  expect(JSON.stringify((await postrider.api('GET', '/dev/inbox.json')).body)).toContain('Hello');
  expect(await type(readEvents)).toMatchObject({
    object: 'list',
    data: [{ type: 'email.sent', data: { email_id: email.id } }],
  });
  const [, live = ''] = await stream.printed(/^event: email\.sent\ndata: (.*)$/m);
  expect(JSON.parse(live)).toMatchObject({ type: 'email.sent', data: { email_id: email.id } });
  for (const other of others) await terminal.sh(other);
  for (const { language, code } of blocks) if (language === 'js') await terminal.js(code);
  postrider.kill('SIGTERM');
  expect(await postrider.ended).toBe(0);
});
