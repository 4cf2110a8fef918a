/** The body of POST /v1/emails: every fault is named at once, where it is. */
import { describe, expect, it } from 'vitest';
import { emailRequest } from '../../src/domain/email-request.ts';

const good = { from: 'a@x.co', to: 'b@x.co', subject: 'Hi', text: 'Hello' };

function faultsOf(body: unknown): string[] {
  return (emailRequest.safeParse(body).error?.issues ?? [])
    .map(({ path, message }) => `/${path.join('/')} ${message}`)
    .toSorted();
}

describe('a request', () => {
  it('reads one recipient as a list of one, and objects as well as strings', () => {
    expect(emailRequest.parse({ ...good, cc: [{ email: 'c@x.co', name: 'C' }] })).toMatchObject({
      to: [{ address: 'b@x.co' }],
      cc: [{ address: 'c@x.co', name: 'C' }],
    });
  });

  it('with faults everywhere has them all named', () => {
    const body = {
      from: 'nobody',
      to: ['b@x.co', 'c'],
      reply_to: { mail: 'x@x.co' },
      subject: 'two\r\nlines',
      headers: { 'Bad Name': 'x', Bcc: 'x@x.co', 'X-Ok': 'a\nb' },
      attachments: [{ filename: 'a\0.txt', content: 'not base64!' }],
      tags: [{ name: 'with space', value: 'x' }],
      colour: 'blue',
    };
    expect(faultsOf(body)).toEqual([
      '/ Unrecognized key: "colour"',
      '/attachments/0/content must be base64',
      '/attachments/0/filename must not contain control characters (CR, LF, NUL, …)',
      '/from is not an address: expected local-part@domain',
      '/headers/Bad Name is not a header name: 1 to 76 printable ASCII characters without a colon',
      '/headers/Bcc is set by Postrider and cannot be given',
      '/headers/X-Ok must not contain control characters (CR, LF, NUL, …)',
      '/html html or text is required',
      '/reply_to/0 must be "Name <a@b.c>", "a@b.c" or {"email": …, "name": …}',
      '/subject must not contain control characters (CR, LF, NUL, …)',
      '/tags/0/name must be 1 to 256 letters, digits, _ or -',
      '/to/1 is not an address: expected local-part@domain',
    ]);
  });

  it.each([
    [
      '51 recipients over to, cc and bcc',
      { to: Array(49).fill('b@x.co'), cc: 'c@x.co', bcc: 'd@x.co' },
      '/to to, cc and bcc may have 50 recipients together',
    ],
    ['no recipient', { to: [] }, '/to must have at least one recipient'],
    ['a lone surrogate in its subject', { subject: 'a\ud800' }, '/subject must be well-formed Unicode'],
    [
      'a header that could not be folded',
      { headers: { 'X-Long': 'w'.repeat(901) } },
      '/headers/X-Long must have a space at least every 900 characters: a line of mail has 998 at most',
    ],
    ['NUL in its text', { text: 'a\0' }, '/text must be well-formed Unicode without NUL'],
    [
      'a media type that smuggles a header',
      { attachments: [{ filename: 'a', content: '', content_type: 'text/plain\r\nX: y' }] },
      '/attachments/0/content_type must be a media type',
    ],
    [
      'a reserved header in other letters',
      { headers: { 'dKiM-sIgNaTuRe': 'x' } },
      '/headers/dKiM-sIgNaTuRe is set by Postrider and cannot be given',
    ],
  ])('with %s is refused', (_, change, fault) => {
    expect(faultsOf({ ...good, ...change })).toContain(fault);
  });

  it('with more attachments than allowed is refused by their decoded size', () => {
    const content = Buffer.alloc(13 * 1024 * 1024).toString('base64');
    expect(
      faultsOf({
        ...good,
        attachments: [
          { filename: 'a', content },
          { filename: 'b', content },
        ],
      }),
    ).toEqual(['/attachments may be 26214400 bytes together, decoded']);
  });
});
