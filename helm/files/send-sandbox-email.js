/** `helm test`: sends an email to a sandbox recipient and waits until a worker has delivered it. Arguments: URL, file of the API key, from. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const deadlineMs = 120_000;
const end = Date.now() + deadlineMs;
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

/** Right after an installation, perhaps no Pod of the API is running yet. */
async function isReady() {
  const asked = fetch(`${url}/readyz`, { signal: AbortSignal.timeout(10_000) });
  return asked.then(
    (answer) => answer.ok,
    () => false,
  );
}

while (!(await isReady())) {
  console.log('the API is not ready yet');
  if (Date.now() > end) throw new Error(`the API was not ready within ${deadlineMs} ms: GET /readyz says why`);
  await pause(500);
}
const { id } = await call('/v1/emails', {
  from,
  to: 'delivered@sandbox.invalid',
  subject: 'helm test',
  text: 'From the API over the queue to a worker.',
});
for (;;) {
  const { last_event: last } = await call(`/v1/emails/${id}`);
  console.log(`${id} is ${last}`);
  if (last === 'delivered') break;
  if (Date.now() > end) throw new Error(`${id} was not delivered within ${deadlineMs} ms: do workers run?`);
  await pause(500);
}
