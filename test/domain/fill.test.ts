/** Filling in: what is put where, that a value stays a value, and that faults name no value. */
import { describe, expect, it } from 'vitest';
import { fill, type Sources } from '../../src/domain/fill.ts';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';

const variables: Readonly<Record<string, string>> = {
  USER: 'AKIA/x',
  PASS: 'p/+@:#?%&$%7BUSER%7D €',
  NESTED: '$' + '{USER} $$',
  HOST: 'mail.example.com:2525',
  URL: 'smtp://u:p%40@h.example',
};

const sources: Sources = {
  variable: (name) => variables[name],
  file: (path) => (path === '/run/s' ? { text: ' hunter2 \r\n\n' } : { fault: 'cannot be read (ENOENT)' }),
};

/** `«X»` stands for a place to fill. */
function filled(template: string) {
  return fill(template.replaceAll('«', '$' + '{').replaceAll('»', '}'), sources);
}

describe('a text', () => {
  it.each([
    ['none $ at all', 'none $ at all'],
    ['«USER»«HOST»', 'AKIA/xmail.example.com:2525'],
    ['«file:/run/s»', ' hunter2 '],
    ['$$«USER»$$$$', '$AKIA/x$$'],
    ['$${USER»', '$' + '{USER}'],
    ['$USER', '$USER'],
    ['«NESTED»', '$' + '{USER} $$'],
    ['«URL»', 'smtp://u:p%40@h.example'],
    ['«URL»?connections=3', 'smtp://u:p%40@h.example?connections=3'],
  ])('%s is filled in once', (template, text) => {
    expect(filled(template)).toEqual({ text, faults: [] });
  });

  it.each([
    ['«NONE»', ['the variable NONE is not set']],
    ['«A» «file:/x»', ['the variable A is not set', 'the file /x cannot be read (ENOENT)']],
    ['hunter2«USER', [expect.stringMatching(/neither a variable nor a file/)]],
    ['«USER:-hunter2»', [expect.stringMatching(/neither a variable nor a file/)]],
    ['«»', [expect.stringMatching(/neither a variable nor a file/)]],
  ])('%s has its faults named', (template, faults) => {
    const read = filled(template);
    expect(read.faults).toEqual(faults);
    expect(read.faults.join()).not.toContain('hunter2');
  });
});

describe('in a URL', () => {
  it('a value for user and password is escaped, whatever is in it', () => {
    const { text, faults } = filled('smtps://«USER»:«PASS»@«HOST»?name=x');
    expect(faults).toEqual([]);
    expect(parseSmtpUrl(text)).toMatchObject({
      auth: { user: variables.USER, pass: variables.PASS },
      host: 'mail.example.com',
      port: 2525,
    });
  });

  it('a value for a parameter stays one parameter', () => {
    const { text } = fill('smtp://h.example?name=$' + '{N}&tls=none', {
      ...sources,
      variable: () => 'a&tls_verify=false',
    });
    expect(parseSmtpUrl(text)).toMatchObject({ faults: [expect.stringMatching(/^has a bad name/)] });
  });
});
