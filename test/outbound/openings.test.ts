/** What a pool is opening: each connection is counted at every moment, by what opens it or by its owner. */
import { expect, it } from 'vitest';
import { makeOpenings, type OpenSession } from '../../src/outbound/openings.ts';
import { openSmtpSession, type SmtpSession, usualPatience } from '../../src/outbound/smtp-session.ts';
import { openScriptedSmtp } from '../support/scripted-smtp.ts';
import { settingsTo } from '../support/smtp-transport.ts';

/** More steps than lie between the moment a session is there and the end of its opening. */
const steps = 20;

it('an open session is handed over in the same step that ends its count, so that no other is opened in its place', async () => {
  await using server = await openScriptedSmtp();
  const now = () => performance.now();
  let owned = 0;
  const seen = new Set<number>();
  const open: OpenSession = async (onEnd, signal) => {
    const terms = { tokens: null, patience: usualPatience, ehloName: null };
    const session = await openSmtpSession(settingsTo(server.port), { ...terms, onEnd, signal, now });
    watching = watch();
    return session;
  };
  async function watch(): Promise<void> {
    for (let step = 0; step < steps; step++) {
      seen.add(openings.count + owned);
      await null;
    }
  }
  let watching = Promise.resolve();
  const openings = makeOpenings(
    { name: 'one', reopenMs: 0 },
    {
      ...{ open, now, onFailed() {} },
      onOpened(session) {
        owned += 1;
        session.close();
      },
      onEnd() {},
    },
  );
  expect(await openings.begin()).toBe(null);
  await watching;
  expect([...seen]).toEqual([1]);
});

it('a session that is not usable once it is logged in was not opened: no other is tried for a while', async () => {
  await using server = await openScriptedSmtp();
  const terms = { tokens: null, patience: usualPatience, ehloName: null, now: () => 0 };
  const open: OpenSession = async (onEnd, signal) => {
    const session = (await openSmtpSession(settingsTo(server.port), { ...terms, onEnd, signal })) as SmtpSession;
    session.giveUp();
    return session;
  };
  const failed: unknown[] = [];
  const onOpened = () => {
    throw new Error('It is not usable');
  };
  const openings = makeOpenings(
    { name: 'one', reopenMs: 1 },
    { open, onOpened, onEnd() {}, onFailed: (fault) => failed.push(fault), now: () => 0 },
  );
  const fault = await openings.begin();
  expect(fault).toMatchObject({
    kind: 'transport_fault',
    cause: 'protocol',
    detail: 'ERROR: Closed right after login',
  });
  expect(failed).toEqual([fault]);
  expect(openings).toMatchObject({ count: 0, isResting: true });
});
