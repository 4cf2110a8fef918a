/** Links to unsubscribe with: they say who they are for to us alone, and what was changed says nothing. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { makeId } from '../../src/domain/id.ts';
import {
  readUnsubscribeToken,
  unsubscribeKey,
  unsubscribeToken,
  unsubscribeUrlOf,
} from '../../src/domain/unsubscribe.ts';
import { recipient, storedEmail } from '../support/requests.ts';

const key = unsubscribeKey(Buffer.alloc(32, 7));
const emailId = makeId('em', 1_700_000_000_000, Buffer.alloc(10, 5));

it('a token gives back what it was made of, is the same each time, and shows no address', () => {
  const address = fc
    .tuple(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }), fc.domain())
    .map(([local, domain]) => `${local}@${domain}`);
  fc.assert(
    fc.property(address, fc.uint8Array({ minLength: 10, maxLength: 10 }), (to, entropy) => {
      const subscription = { emailId: makeId('em', 1_700_000_000_000, entropy), address: to };
      const token = unsubscribeToken(subscription, key);
      expect(readUnsubscribeToken(token, key)).toEqual({ ...subscription, address: Buffer.from(to).toString() });
      expect(unsubscribeToken(subscription, key)).toBe(token);
      expect(Buffer.from(token, 'base64url').includes(to)).toBe(false);
    }),
  );
});

it('a token that was changed, cut, lengthened or sealed with another key is not valid', () => {
  const token = unsubscribeToken({ emailId, address: 'ada@example.org' }, key);
  const bytes = Buffer.from(token, 'base64url');
  for (let place = 0; place < bytes.length; place++) {
    const changed = Buffer.from(bytes);
    changed[place] = (changed[place] ?? 0) ^ 1;
    expect(readUnsubscribeToken(changed.toString('base64url'), key)).toBe(null);
    expect(readUnsubscribeToken(bytes.subarray(0, place).toString('base64url'), key)).toBe(null);
  }
  for (const other of [`${token}A`, `${token}=`, ` ${token}`, '', '.', 'AQ'])
    expect(readUnsubscribeToken(other, key)).toBe(null);
  expect(readUnsubscribeToken(token, unsubscribeKey(Buffer.alloc(32, 8)))).toBe(null);
});

it('only bulk mail to one recipient has a link, and only when PUBLIC_URL is known', () => {
  const email = (lane: 'bulk' | 'transactional', ...to: string[]) =>
    storedEmail(
      to.map((address) => recipient(address)),
      { facts: { lane, id: emailId } },
    );
  const maker = { publicUrl: 'https://mail.example.com', key };
  const url = unsubscribeUrlOf(email('bulk', 'ada@example.org'), maker);
  expect(url).toMatch(/^https:\/\/mail\.example\.com\/u\/[\w-]+$/);
  expect(readUnsubscribeToken(url?.split('/u/')[1] ?? '', key)).toEqual({ emailId, address: 'ada@example.org' });
  expect(unsubscribeUrlOf(email('transactional', 'ada@example.org'), maker)).toBe(null);
  expect(unsubscribeUrlOf(email('bulk', 'ada@example.org', 'bob@example.org'), maker)).toBe(null);
  expect(unsubscribeUrlOf(email('bulk', 'ada@example.org'), { ...maker, publicUrl: null })).toBe(null);
});
