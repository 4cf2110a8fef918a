/** A process of its own: POSTs one body over and over with the HTTP client that webhooks go by, and does nothing else. */
import { Agent, request } from 'undici';
import { answerRequests } from './processes.ts';

export type PostLimitRequest = {
  readonly url: string;
  readonly body: string;
  readonly count: number;
  readonly concurrency: number;
};

answerRequests<PostLimitRequest, null>(async ({ url, body, count, concurrency }) => {
  const dispatcher = new Agent({ connections: null });
  let begun = 0;
  async function drive(): Promise<void> {
    while (begun < count) {
      begun += 1;
      const headers = { 'content-type': 'application/json' };
      const answer = await request(url, { dispatcher, method: 'POST', headers, body });
      await answer.body.dump();
    }
  }
  await Promise.all(Array.from({ length: concurrency }, drive));
  await dispatcher.close();
  return null;
});
