/** docs/redis.md against the code: every key, every guarantee and every setting that it names. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { guarantees } from '../src/domain/redis-standing.ts';
import { settings } from '../src/settings.ts';
import { keys, queuePrefix } from '../src/store/keys.ts';

const docs = readFileSync(new URL('../docs/redis.md', import.meta.url), 'utf8');

it('every key is in the map, and the map has no other key', () => {
  const inMap = [...docs.matchAll(/^\| `(pr:[^`]+)` \|/gm)].map(([, name = '']) => name.replaceAll(/<\w+>/g, 'x'));
  const inCode = Object.values(keys).map((key: string | ((...parts: never[]) => string)) =>
    typeof key === 'string' ? key : key(...(Array(key.length).fill('x') as never[])),
  );
  expect(inMap.toSorted()).toEqual([...inCode, `${queuePrefix}:*`].toSorted());
});

it('every guarantee is in the table, in the words of the log', () => {
  for (const words of Object.values(guarantees)) expect(docs).toContain(`| ${words} |`);
});

it('no setting is named that there is not', () => {
  const named = [...docs.matchAll(/`([A-Z][A-Z_]+[A-Z])(?:_FILE)?(?:=[^`]*)?`/g)].map(([, name = '']) => name);
  const known = [...Object.keys(settings.shape), 'INFO'];
  expect(named.filter((name) => !known.includes(name.replace(/_FILE$/, '')))).toEqual([]);
});
