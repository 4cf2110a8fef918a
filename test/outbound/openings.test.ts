/** What a pool is opening: each connection is counted at every moment, by what opens it or by its owner. */
import { expect, it } from 'vitest';
import { makeOpenings, type OpenSession } from '../../src/outbound/openings.ts';
import { openSmtpSession, usualPatience } from '../../src/outbound/smtp-session.ts';
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
