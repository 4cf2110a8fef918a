/** `helm test`: sends an email to a sandbox recipient and waits until a worker has delivered it. Arguments: URL, file of the API key, from. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const deadlineMs = 60_000;
const [url, keyFile, from] = process.argv.slice(-3);
const authorization = `Bearer ${readFileSync(keyFile, 'utf8').trim()}`;

async function call(path, body) {
  const options = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const headers = { authorization, 'content-type': 'application/json' };
  const answer = await fetch(`${url}${path}`, { ...options, headers, signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}: ${text}`);
  return JSON.parse(text);
}

const { id } = await call('/v1/emails', {
  from,
  to: 'delivered@sandbox.invalid',
  subject: 'helm test',
  text: 'From the API over the queue to a worker.',
});
const end = Date.now() + deadlineMs;
for (;;) {
  const { last_event: last } = await call(`/v1/emails/${id}`);
  console.log(`${id} is ${last}`);
  if (last === 'delivered') break;
  if (Date.now() > end) throw new Error(`${id} was not delivered within ${deadlineMs} ms: do workers run?`);
  await pause(500);
}
