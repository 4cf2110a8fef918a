/** Sandbox recipients: who is one, which row is theirs, what its replies are classified as, and whose turn is next. */
import { describe, expect, it } from 'vitest';
import { classify, parseReply } from '../../src/domain/classify.ts';
import { isSandbox, nextGroup, sandboxRowOf, sandboxRows } from '../../src/domain/sandbox.ts';
import { recipient } from '../support/requests.ts';

const rowOf = (name: string) => sandboxRows.find(({ local }) => local === name);

describe('a sandbox recipient', () => {
  it('is one at the reserved domain itself, in whatever case', () => {
    const addresses = ['a@x.co', 'bounced@sandbox.invalid', 'b@sub.sandbox.invalid', 'c@Sandbox.Invalid'];
    expect(addresses.filter(isSandbox)).toEqual(['bounced@sandbox.invalid', 'c@Sandbox.Invalid']);
    expect(['sandbox.invalid@x.co', 'a@xsandbox.invalid', '"a@sandbox.invalid"@x.co'].filter(isSandbox)).toEqual([]);
  });

  it.each(sandboxRows.map(({ local }) => local))(
    '%s has its row, in whatever case and with whatever follows a +',
    (name) => {
      for (const local of [name, name.toUpperCase(), `${name}+order-17`, `${name}+`, `${name}+a+b`])
        expect(sandboxRowOf(`${local}@sandbox.invalid`)).toBe(rowOf(name));
    },
  );

  it.each(['bouncd', 'bounced2', '+bounced', 'x+bounced'])(
    '%s is not a sandbox recipient, and the fault lists those that are',
    (local) => {
      const { refusal, feedback } = sandboxRowOf(`${local}@sandbox.invalid`);
      expect(feedback).toBeNull();
      expect(refusal?.attempts).toBe(Number.POSITIVE_INFINITY);
      for (const { local: known } of sandboxRows) expect(refusal?.reply).toContain(known);
      expect(classify(parseReply(refusal?.reply ?? ''))).toMatchObject({ action: 'fail', category: 'unknown_user' });
    },
  );

  it('is refused with text that fails it, or defers it by the schedule alone', () => {
    const meant = (name: string) => classify(parseReply(rowOf(name)?.refusal?.reply ?? ''));
    expect(meant('bounced')).toMatchObject({ action: 'fail', category: 'unknown_user' });
    expect(meant('deferred')).toMatchObject({ action: 'retry', waitMs: null });
  });
});

describe('the next attempt', () => {
  const at = (address: string, nextAttemptAt: number) => recipient(address, { nextAttemptAt });
  const nextAt = (now: number, ...pending: Parameters<typeof nextGroup>[0]) => {
    const { isSandbox: isForSandbox, recipients } = nextGroup(pending, now);
    return [isForSandbox, recipients.map(({ address }) => address)];
  };
  const next = (...pending: Parameters<typeof nextGroup>[0]) => nextAt(9, ...pending);
  const [slow, late] = ['slow@sandbox.invalid', 'deferred@sandbox.invalid'];

  it('is for none that waits for a later time, more than a second and a tenth apart', () => {
    const [due, soon, later] = [at('a@x.co', 1), at('b@x.co', 1_108), at('c@x.co', 1_109)];
    expect(nextAt(8, due, later, soon)).toEqual([false, ['a@x.co', 'b@x.co']]);
    expect(nextAt(8, at(slow, 1_109), at(late, 1))).toEqual([true, [late]]);
  });

  it('is for those due first also by a clock that was set back', () => {
    const [first, later] = [at('a@x.co', 5_000), at('b@x.co', 7_000)];
    expect(nextAt(0, later, first, at('c@x.co', 5_000))).toEqual([false, ['a@x.co', 'c@x.co']]);
  });

  it('is for all of those that are tried together', () => {
    expect(next(at('a@x.co', 1), at('b@x.co', 9))).toEqual([false, ['a@x.co', 'b@x.co']]);
    expect(next(at(slow, 9), at(late, 1))).toEqual([true, [slow, late]]);
  });

  it('is for those due first, and for the sandbox when both are', () => {
    expect(next(at('a@x.co', 1), at(slow, 1))).toEqual([true, [slow]]);
    expect(next(at('a@x.co', 1), at(late, 2), at('b@x.co', 3))).toEqual([false, ['a@x.co', 'b@x.co']]);
    expect(next(at('a@x.co', 3), at(late, 2), at(slow, 9))).toEqual([true, [late, slow]]);
  });
});
