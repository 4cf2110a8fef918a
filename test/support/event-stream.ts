/** A reader of server-sent events, as a consumer would write one. Its first events are held to openapi.yaml's schema of them. */
import { request } from 'undici';
import { expect } from 'vitest';
import { openChecks, readOpenApi } from './openapi.ts';
import { testApiKey } from './postrider.ts';

export type StreamedEvent = {
  readonly id: string;
  readonly event: string;
  readonly data: { readonly [field: string]: unknown };
};

export type EventStream = {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly events: readonly StreamedEvent[];
  /** The place to come back to. */
  lastEventId(): string;
  /** Blocks of comments so far. */
  heartbeats(): number;
  text(): string;
  hasEnded(): boolean;
  /** Reads no more until `resume`; what fits into the sockets comes all the same. */
  pause(): void;
  resume(): void;
  leave(): void;
};

/** Of tens of thousands that are alike. */
const mostChecked = 100;

export async function readStream(url: string, headers: Record<string, string> = {}, query = ''): Promise<EventStream> {
  const answer = await request(`${url}/v1/events${query}`, {
    headers: { authorization: `Bearer ${testApiKey}`, accept: 'text/event-stream', ...headers },
    bodyTimeout: 0,
  });
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${await answer.body.text()}`);
  expect(answer.headers['content-type']).toBe('text/event-stream');
  const check = checkOfEvents();
  const events: StreamedEvent[] = [];
  let [held, lastId, beats, hasEnded] = ['', '', 0, false];

  function take(block: string): void {
    const lines = block.split('\n').map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
    });
    const field = (name: string) => lines.find(([key]) => key === name)?.[1];
    lastId = field('id') ?? lastId;
    if (lines.some(([key]) => key === '')) beats += 1;
    const data = field('data');
    if (data === undefined) return;
    const parsed = JSON.parse(data);
    if (parsed.object === 'event' && events.length < mostChecked) expect(check(parsed)).toEqual([]);
    events.push({ id: lastId, event: field('event') ?? 'message', data: parsed });
  }

  const decoder = new TextDecoder();
  let text = '';
  answer.body.on('data', (chunk: Buffer) => {
    const more = decoder.decode(chunk, { stream: true });
    text = (text + more).slice(-10_000);
    const blocks = (held + more).split('\n\n');
    held = blocks.pop() ?? '';
    for (const block of blocks) take(block);
  });
  answer.body
    .on('error', () => {})
    .on('close', () => {
      hasEnded = true;
    });
  return {
    headers: answer.headers,
    events,
    lastEventId: () => lastId,
    heartbeats: () => beats,
    text: () => text,
    hasEnded: () => hasEnded,
    pause: () => void answer.body.pause(),
    resume: () => void answer.body.resume(),
    leave: () => void answer.body.destroy(),
  };
}

let check: ((value: unknown) => string[]) | undefined;

function checkOfEvents(): (value: unknown) => string[] {
  check ??= openChecks(readOpenApi())({ $ref: '#/components/schemas/Event' });
  return check;
}
