/** Stored templates: versions that never change, aliases with one owner, and of two changes at once, one. */
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import type { Template, TemplateHead } from '../../src/domain/template.ts';
import { keys } from '../../src/store/keys.ts';
import { openTemplates, type Templates } from '../../src/store/templates.ts';
import { contentOf } from '../support/templates.ts';
import { useTestRedis } from '../support/use-redis.ts';

let redis: Redis;
let templates: Templates;
useTestRedis((server) => {
  redis = server.connect();
  templates = openTemplates(redis);
});

let made = 0;
function template(head: Partial<TemplateHead> = {}): Template {
  const id = `tp_${String(++made).padStart(26, '0')}`;
  return {
    head: { id, name: 'n', alias: null, createdAt: 1, updatedAt: 1, version: 1, ...head },
    content: contentOf({ html: `<p>${'ä{{ x }}'.repeat(1_000)}</p>`, replyTo: [{ address: 'a@b.c' }] }),
  };
}

describe('a template', () => {
  it('comes back as it was stored, and takes a part of the room', async () => {
    const { head, content } = template({ alias: 'first' });
    expect(await templates.add({ head, content })).toBe('changed');
    for (const name of [head.id, 'first']) expect(await templates.find(name)).toEqual(head);
    expect(await templates.content(head)).toEqual(content);
    expect(await templates.content({ ...head, version: 2 })).toBeNull();
    expect(await redis.memory('USAGE', keys.template(head.id))).toBeLessThan(1_200);
    for (const nothing of ['tp_', '', 'second', `tp_${'1'.repeat(26)}`])
      expect(await templates.find(nothing)).toBeNull();
  });

  it('that is stored again keeps its current state', async () => {
    const { head, content } = template();
    await templates.add({ head, content });
    const later = { ...head, version: 2 };
    expect(await templates.change(head, later, contentOf({ text: 'later' }))).toBe('changed');
    expect(await templates.add({ head, content })).toBe('moved_on');
    expect(await templates.find(head.id)).toEqual(later);
  });

  it('that two change at once is changed by one of them', async () => {
    const { head, content } = template();
    await templates.add({ head, content });
    const later = { ...head, version: 2, updatedAt: 5 };
    const changes = ['a', 'b', 'c'].map((text) => templates.change(head, later, contentOf({ text })));
    expect(await Promise.all(changes)).toEqual(['changed', 'moved_on', 'moved_on']);
    expect(await templates.content(later)).toEqual(contentOf({ text: 'a' }));
    expect(await templates.content(head)).toEqual(content);
  });

  it('is changed once by a change that is sent again, and the repeat gets the same answer', async () => {
    const { head, content } = template();
    await templates.add({ head, content });
    const later = { ...head, version: 2, updatedAt: 5 };
    const text = contentOf({ text: 'a' });
    for (const _ of [1, 2]) expect(await templates.change(head, later, text)).toBe('changed');
    const renamed = { ...later, name: 'other', alias: 'renamed' };
    for (const _ of [1, 2]) expect(await templates.change(later, renamed, null)).toBe('changed');
    expect(await templates.change(head, later, text)).toBe('moved_on');
    expect(await templates.find('renamed')).toEqual(renamed);
    expect(await Promise.all([templates.remove(head.id), templates.remove(head.id)])).toEqual([true, true]);
  });

  it('keeps its last thousand versions', async () => {
    const { head, content } = template({ version: 1_000 });
    await templates.add({ head: { ...head, version: 1 }, content });
    await redis.hset(keys.template(head.id), 'head', JSON.stringify(head));
    const later = { ...head, version: 1_001 };
    await templates.change(head, later, content);
    expect(await templates.content({ ...head, version: 1 })).toBeNull();
    const versions = await templates.versions(later);
    expect([versions.length, versions[0]?.version, versions.at(-1)?.version]).toEqual([1_000, 1_001, 2]);
  });

  it('leaves its alias when it goes, or takes another', async () => {
    const [one, two] = [template({ alias: 'both' }), template({ alias: 'both' })];
    expect([await templates.add(one), await templates.add(two)]).toEqual(['changed', 'alias_taken']);
    expect(await templates.find(two.head.id)).toBeNull();
    expect(await templates.change(one.head, { ...one.head, alias: 'mine' }, null)).toBe('changed');
    expect(await templates.add(two)).toBe('changed');
    expect(await templates.remove(two.head.id)).toBe(true);
    expect([await templates.find('both'), await templates.remove(two.head.id)]).toEqual([null, false]);
    expect(await templates.change(two.head, { ...two.head, name: 'back' }, null)).toBe('moved_on');
    expect(await redis.exists(keys.template(two.head.id))).toBe(0);
  });
});
