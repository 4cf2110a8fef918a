/** The user that docs/redis.md would have us be. */
import { readFileSync } from 'node:fs';

/** The rule without its password: `SETUSER postrider …`. */
export function aclRule(): string[] {
  const docs = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8');
  const [, rule = ''] = /^ACL (SETUSER postrider .*)$/m.exec(docs) ?? [];
  return rule.split(' ').filter((part) => !part.startsWith('>'));
}
