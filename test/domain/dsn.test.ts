/** The `dsn` field: what may be asked for, and what is said to one who asks for something else. */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { dsnRequest } from '../../src/domain/dsn.ts';

describe('a request for notifications', () => {
  it.each([
    [{ notify: ['failure'] }, { notify: ['failure'], return: 'headers' }],
    [
      { notify: ['success', 'failure', 'delay'], return: 'full' },
      { notify: ['success', 'failure', 'delay'], return: 'full' },
    ],
    [
      { notify: ['never'], return: 'headers' },
      { notify: 'never', return: 'headers' },
    ],
  ])('%j is read', (given, read) => {
    expect(dsnRequest.parse(given)).toEqual(read);
  });

  it.each([
    [{}, 'must be a list of success, failure and delay, or ["never"]'],
    [{ notify: 'never' }, 'must be a list of success, failure and delay, or ["never"]'],
    [{ notify: [] }, 'must name at least one of success, failure and delay, or never'],
    [{ notify: ['failure', 'failure'] }, 'must not name one twice'],
    [{ notify: ['never', 'failure'] }, 'must not name anything beside never'],
    [{ notify: ['sometimes'] }, expect.stringContaining('"success"|"failure"|"delay"|"never"')],
    [{ notify: ['never'], return: 'body' }, expect.stringContaining('"headers"|"full"')],
    [{ notify: ['never'], orcpt: 'x' }, expect.stringContaining('orcpt')],
  ])('%j is refused with a reason', (given, message) => {
    expect(dsnRequest.safeParse(given).error?.issues).toMatchObject([{ message }]);
  });

  it('is described for the API document', () => {
    expect(z.toJSONSchema(dsnRequest, { io: 'input' }).$defs?.Dsn).toMatchObject({
      properties: {
        notify: { description: expect.any(String), items: { enum: ['success', 'failure', 'delay', 'never'] } },
        return: { description: expect.any(String), enum: ['headers', 'full'], default: 'headers' },
      },
      required: ['notify'],
      additionalProperties: false,
    });
  });
});
