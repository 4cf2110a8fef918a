/** What documents have people type that no terminal here can, or that stands within a sentence: its scripts, commands and settings are there. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { retentionAskedFor, sizeAskedFor } from '../bench/counts.ts';
import packageJson from '../package.json' with { type: 'json' };
import { readConfig } from '../src/config.ts';
import { blocksIn, documents, readDocument, root } from './support/documents.ts';
import { startProcess } from './support/processes.ts';
import { isSetting } from './support/setting-names.ts';

/** What a pattern finds first in brackets, each once, over all documents. */
function named(pattern: RegExp): string[] {
  const found = documents.flatMap((path) => [...readDocument(path).matchAll(pattern)].map(([, name = '']) => name));
  return [...new Set(found)].toSorted();
}

it.each(documents)('%s says of each of its blocks what language it is in', (path) => {
  const fences = [...readDocument(path).matchAll(/^ *(?:```|~~~)(.*)$/gm)].map(([, language = '']) => language);
  const languages = fences.filter((_, place) => place % 2 === 0);
  expect(languages.filter((language) => !/^\w+$/.test(language))).toEqual([]);
  // One that is indented would not be found by who runs them.
  const isRun = (language: string) => language === 'sh' || language === 'js';
  const found = blocksIn(readDocument(path)).map(({ language }) => language);
  expect(found.filter(isRun)).toEqual(languages.filter(isRun));
});

it('npm has the scripts that are named', () => {
  const scripts = [...named(/\bnpm run (?:-s )?([\w:]+)/g), ...named(/^(?:.*' )?npm (?!run)(\w+)/gm)];
  expect(scripts).toEqual(expect.arrayContaining(['bench', 'cli', 'start', 'test']));
  for (const script of scripts) expect(packageJson.scripts).toHaveProperty([script]);
});

it('the command line has the commands that are named', async () => {
  const commands = named(/(?:npm run (?:-s )?cli --|cli\.ts) (\w+)/g);
  expect(commands).toEqual(expect.arrayContaining(['campaign', 'health']));
  for (const command of commands) {
    await using asking = startProcess(process.execPath, [join(root, 'src/cli.ts'), command, '--help']);
    expect(await asking.ended, asking.output()).toBe(0);
  }
});

it('the bench has the options that are named', () => {
  for (const option of named(/npm run bench -- (--\w+)/g))
    expect(sizeAskedFor([option], {}) === 'short' || retentionAskedFor([option]) !== null, option).toBe(true);
});

it('a setting in front of npm start is one that Postrider takes', () => {
  const typed = documents.flatMap((path) => [...readDocument(path).matchAll(/^(\w+)='(.*)' npm start$/gm)]);
  expect(typed.length).toBeGreaterThan(0);
  for (const [, name = '', value] of typed) {
    expect(name).toSatisfy(isSetting);
    expect(() => readConfig({ [name]: value })).not.toThrow();
  }
});
