/** Which media type an Accept header asks for. */
import { expect, it } from 'vitest';
import { preferred } from '../../src/http/accept-header.ts';
import { problemTypeFor } from '../../src/http/problem-media.ts';

const [json, stream] = ['application/json', 'text/event-stream'] as const;

it.each([
  [undefined, json],
  ['', json],
  ['*/*', json],
  ['text/event-stream', stream],
  ['Text/Event-Stream; charset=utf-8', stream],
  ['application/json, text/event-stream', json],
  ['text/event-stream, application/json', json],
  ['application/json;q=0.8, text/event-stream', stream],
  ['application/json, text/event-stream;q=0.9', json],
  ['text/event-stream;q=0.5, */*;q=0.1', stream],
  ['text/event-stream;q=0.1, */*;q=0.5', json],
  ['text/*', stream],
  ['text/*, application/*;q=0.9', stream],
  ['text/*;q=0.2, text/event-stream;q=0, application/json;q=0.1', json],
  ['*/*, application/json;q=0', stream],
  ['text/event-stream;q=0', json],
  ['text/event-stream;q=0.3, text/event-stream;q=0.9, application/json;q=0.5', stream],
  ['text/event-stream ; level=1 ; Q=0.7 , application/json ; q=0.6', stream],
  ['application/json;q=2, text/event-stream;q=x', json],
  ['image/png', json],
  [';;,,=', json],
] as const)('%j: %s', (accept, type) => {
  expect(preferred(accept, [json, stream])).toBe(type);
});

const problem = 'application/problem+json';

it.each([
  [undefined, json],
  ['', problem],
  ['*/*', problem],
  ['application/*', problem],
  ['application/json;q=0', problem],
  ['text/event-stream', problem],
  ['application/problem+json', problem],
  ['application/json, application/problem+json;q=0.5', problem],
  ['application/json', json],
  ['Application/JSON; charset=utf-8', json],
  ['application/json, text/plain, */*', json],
  ['application/json, application/problem+json;q=0', json],
] as const)('to %j an error is %s', (accept, type) => {
  expect(problemTypeFor(accept)).toBe(type);
});
