/** Rendering the emails of one request: each template is looked up and compiled once, and all of them together end within their limits. */

import { beforeEach, describe, expect, it } from 'vitest';
import { cpuMs, monotonicNow } from '../../src/chance.ts';
import type { AskedEmail } from '../../src/domain/email-request.ts';
import type { TemplateContent, TemplateHead } from '../../src/domain/template.ts';
import { render } from '../../src/pipeline/render.ts';
import { openTemplating } from '../../src/templating/templating.ts';
import { contentOf } from '../support/templates.ts';

const head: TemplateHead = { id: 'tp_1', name: 'n', alias: 'order', createdAt: 1, updatedAt: 1, version: 2 };
let content: TemplateContent;
let asked: string[];
let deps: Parameters<typeof render>[0];
beforeEach(() => {
  content = contentOf({ subject: 'Order {{ n }}', text: '{{ text }}' });
  asked = [];
  deps = {
    templates: {
      find: async (name) => {
        asked.push(`find ${name}`);
        return name === 'order' ? head : null;
      },
      content: async ({ id, version }) => {
        asked.push(`content ${id} ${version}`);
        return version <= 2 ? content : null;
      },
    },
    templating: openTemplating({ now: monotonicNow, cpuMs }),
    canUnsubscribe: true,
  };
});

const email = (variables: object, more: object = {}): AskedEmail => ({
  from: { address: 'a@example.com' },
  to: [{ address: 'b@example.com' }],
  template: { id: 'order', variables: { text: 'x', ...variables }, ...more },
});
const renderAll = (emails: readonly (AskedEmail | null)[]) => render(deps, emails, () => {});
const subjects = (rendered: Awaited<ReturnType<typeof render>>) =>
  rendered.map((one) => one && ('request' in one ? one.request.subject : one.faults.map(({ message }) => message)));

describe('a request', () => {
  it('has each of its templates looked up once, and a process each version once', async () => {
    const emails = [email({ n: 1 }), null, email({ n: 2 }), email({ n: 3 }, { version: 1 })];
    expect(subjects(await renderAll(emails))).toEqual(['Order 1', null, 'Order 2', 'Order 3']);
    expect(asked).toEqual(['find order', 'content tp_1 2', 'find order', 'content tp_1 1']);
    asked = [];
    expect(subjects(await renderAll([email({ n: 4 })]))).toEqual(['Order 4']);
    expect(asked).toEqual(['find order']);
  });

  it('finds a version that came after it was not there', async () => {
    const later = email({ n: 1 }, { version: 3 });
    expect(subjects(await renderAll([later]))).toEqual([['is not a version of it']]);
    deps.templates.content = async () => content;
    expect(subjects(await renderAll([later]))).toEqual(['Order 1']);
  });

  it('repeats a read that failed', async () => {
    const { content: read } = deps.templates;
    deps.templates.content = () => Promise.reject(new Error('Connection is closed.'));
    await expect(renderAll([email({ n: 1 })])).rejects.toThrow('Connection is closed.');
    deps.templates.content = read;
    expect(subjects(await renderAll([email({ n: 1 })]))).toEqual(['Order 1']);
  });

  it('that takes too long as a whole is cut short, and the rest gets the reason', async () => {
    let ms = 0;
    deps.templating.cpuMs = () => {
      ms += 600;
      return ms;
    };
    const [first, ...rest] = subjects(await renderAll(Array(6).fill(email({ n: 1 }))));
    expect(first).toBe('Order 1');
    expect(rest.slice(0, 3)).toEqual(Array(3).fill('Order 1'));
    expect(rest.slice(3)).toEqual(Array(2).fill([expect.stringContaining('takes over 2000 ms')]));
  });

  it('that makes too much as a whole is cut short, and the rest gets the reason', async () => {
    content = contentOf({ subject: 's', text: '{% for i in (1..9) %}{{ text }}{% endfor %}' });
    const long = email({ text: 'x'.repeat(100_000) });
    const made = subjects(await renderAll(Array(60).fill(long)));
    expect(made.filter((one) => one === 's').length).toBe(47);
    expect(made.at(-1)).toEqual([expect.stringContaining('characters together')]);
  });

  it('has each letter made in a turn of its own, that of a single email too', async () => {
    const done: string[] = [];
    deps.templating.yieldTurn = async () => void done.push('turn');
    deps.templating.cpuMs = () => done.push('made');
    await renderAll([email({ n: 1 })]);
    await renderAll([email({ n: 2 }), null, email({ n: 3 })]);
    // The time is looked at before and after each.
    expect(done).toEqual(Array(3).fill(['turn', 'made', 'made']).flat());
  });

  it('with a template that is no longer valid says so', async () => {
    content = contentOf({ text: '{% nope %}' });
    expect(subjects(await renderAll([email({})]))).toEqual([
      ['cannot be used any more: its text line 1, column 1: tag "nope" is not known here'],
    ]);
  });
});
