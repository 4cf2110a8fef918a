/** POST …/retry twice under one Idempotency-Key at the same moment: both are told that it was done, and it is done once. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { acceptEmail } from '../../src/domain/email.ts';
import { changeRoutes } from '../../src/http/email-changes.ts';
import { emailStagesOver } from '../support/email-stages.ts';
import { buildTestServer } from '../support/http-server.ts';
import { type Answer, apiClient } from '../support/postrider.ts';
import { emailRequest, good } from '../support/requests.ts';
import { newId, openTestStore, type TestStore } from '../support/store.ts';

let world: TestStore;
beforeAll(async () => {
  world = await openTestStore();
});
afterAll(() => world[Symbol.asyncDispose]());

const step = { at: 1, kind: 'answered' } as const;

async function fail(id: string): Promise<void> {
  const { emails } = world.store;
  const email = (await emails.read(id)) ?? expect.fail('it is gone');
  const failed = { status: 'failed', nextAttemptAt: null } as const;
  const recipients = email.state.recipients.map((recipient) => ({ ...recipient, ...failed }));
  const state = { ...email.state, recipients };
  expect(await emails.commit(email, { state, events: [], step }, '', 1)).toBe(true);
}

async function failedEmail(): Promise<string> {
  const email = acceptEmail(emailRequest.parse(good), { id: newId('em'), keyId: 'k', now: Date.now() });
  const given = { batchClaim: null, isStrict: true, now: Date.now() };
  await world.store.emails.create([{ email, claim: null }], given);
  await fail(email.facts.id);
  return email.facts.id;
}

const kindsOf = async (id: string) => (await world.store.emails.timeline(id)).steps.map(({ kind }) => kind);

/** Asks for a retry whose repeat is answered right before it is done itself. Answers both, and a later repeat. */
async function race(id: string, meanwhile: () => Promise<void>): Promise<Answer[]> {
  const { store } = world;
  const { emailsAnywhere: emails, change } = emailStagesOver(store);
  let repeat: Answer | undefined;
  const racing: typeof change = async (...given) => {
    if (repeat === undefined) {
      repeat = {} as Answer;
      repeat = await ask();
      await meanwhile();
    }
    return change(...given);
  };
  const routes = changeRoutes({ ...store, emails, change: racing, limits: { now: Date.now }, newId });
  await using server = await buildTestServer({ ...store, api: [routes], now: Date.now });
  const api = apiClient(await server.listen({ port: 0, host: '127.0.0.1' }));
  const ask = () => api('POST', `/v1/emails/${id}/retry`, undefined, { 'idempotency-key': id });
  const first = await ask();
  return [first, repeat as Answer, await ask()];
}

it('the second of two retries at once gets the answer of the first', async () => {
  const id = await failedEmail();
  const answers = await race(id, async () => {});
  const done = { status: 200, body: { object: 'email', id, status: 'queued' } };
  expect(answers).toMatchObject([done, done, done]);
  expect(await kindsOf(id)).toEqual(['answered', 'retried']);
});

it('the second of two retries does not retry a recipient that failed again in between', async () => {
  const id = await failedEmail();
  const answers = await race(id, () => fail(id));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(await kindsOf(id)).toEqual(['answered', 'retried', 'answered']);
});
