/** What answers while the start waits for Redis. */
import { expect, it } from 'vitest';
import { openStartServer } from '../../src/http/start.ts';
import { openRawHttp } from '../support/raw-http.ts';

it('answers a client that ends its half of the connection once it has asked', async () => {
  const { promise: metrics, resolve: render } = Promise.withResolvers<string>();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const renderMetrics = () => {
    ask();
    return metrics;
  };
  await using server = await openStartServer({ host: '127.0.0.1', port: 0, renderMetrics });
  using client = await openRawHttp(server.url);
  client.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n');
  const ended = client.end();
  await asked;
  // By the time that another is answered, the server has read the end of the first.
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  render('up 1\n');
  await ended;
  expect(await client.answer()).toMatchObject({ status: 200 });
});
