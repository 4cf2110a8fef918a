/** Reply classification: each row classifies its own example, and a reply is read as it stands. */
import { describe, expect, it } from 'vitest';
import { classify, parseReply, replyRows } from '../../src/domain/classify.ts';

describe('classification', () => {
  it.each(replyRows)('$name classifies its example', (row) => {
    const reply = parseReply(row.example);
    expect(replyRows.find((other) => other.matches(reply))?.name).toBe(row.name);
    expect(classify(reply)).toBe(row.action);
  });
});

describe('a reply', () => {
  it.each([
    ['250 2.0.0 Ok', { code: 250, enhanced: '2.0.0' }],
    ['550 No such user', { code: 550, enhanced: null }],
    ['451-4.7.1 Greylisted\n451 4.7.1 come back', { code: 451, enhanced: '4.7.1' }],
    ['421', { code: 421, enhanced: null }],
    ['550 5.7.515', { code: 550, enhanced: '5.7.515' }],
    ['250 10.0.0.1 said hello', { code: 250, enhanced: null }],
    ['nonsense', { code: 0, enhanced: null }],
  ])('%j is read', (text, expected) => {
    expect(parseReply(text)).toMatchObject({ ...expected, reply: text });
  });

  it('is kept to a bounded length', () => {
    expect(parseReply(`550 ${'x'.repeat(9_000)}`).reply).toHaveLength(1_024);
  });
});
