/** Our documents as they stand: which there are, their blocks of code, their headings, and where their links lead. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export const docs = readdirSync(`${root}docs`)
  .filter((name) => name.endsWith('.md'))
  .toSorted()
  .map((name) => `docs/${name}`);
export const documents = ['README.md', 'CHANGELOG.md', 'src/README.md', 'bench/README.md', 'helm/README.md', ...docs];

/** @param path below the root */
export function readDocument(path: string): string {
  return readFileSync(`${root}${path}`, 'utf8');
}

export type Block = { readonly language: string; readonly code: string };

export function blocksIn(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({ language, code }));
}

/** Shell that a terminal here can type. What asks for Docker, a cluster or minutes is held by what it names alone. */
export function canBeTyped({ language, code }: Block): boolean {
  return language === 'sh' && !/^(?:docker|helm|kubectl|(?:\w+='.*' )?npm (?:start|test|run bench))\b/m.test(code);
}

/** All but the blocks of code. */
export function proseIn(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '');
}

/** Where links lead, but for those out into the world. */
export function linksIn(text: string): string[] {
  const links = [...proseIn(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => !/^https?:/.test(link));
}

export function headingsIn(text: string): string[] {
  return [...proseIn(text).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
}

/** As GitHub makes them of headings. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** The part of a document from a heading to the next of its level. */
export function sectionOf(text: string, heading: string): string {
  const level = /^#+/.exec(heading)?.[0] ?? '';
  const [, after = ''] = text.split(`\n${heading}\n`);
  return after.split(new RegExp(`^${level} `, 'm'))[0] ?? '';
}
