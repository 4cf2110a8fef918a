/** Examples of templates, their versions, and what they render to. */
import type { Examples } from './examples.ts';
import { faultExamples, notFoundExamples, overtakenExamples } from './problem-examples.ts';

const sources = {
  subject: 'Your order {{ order.number }}',
  html: '<p>Hello {{ name }}</p><ul>{% for item in order.items %}<li>{{ item.name }}</li>{% endfor %}</ul>',
  preheader: '{{ order.items.size }} things are on their way',
};

const summary = {
  object: 'template',
  id: 'tp_01kb2m9b7d9f1h3k5n7q9s1v3x',
  name: 'Order confirmation',
  alias: 'order-confirmation',
  status: 'published',
  version: 3,
  created_at: '2026-11-20T09:00:00.000Z',
  updated_at: '2026-11-24T09:00:00.000Z',
  published_at: '2026-11-24T09:00:00.000Z',
};

const content = {
  ...sources,
  text: null,
  from: 'Acme <orders@example.com>',
  reply_to: ['support@example.com'],
  missing: 'strict',
  variables: [
    { key: 'name', type: 'string', fallback_value: 'friend', used_in: ['html'], paths: ['name'] },
    {
      key: 'order',
      type: 'any',
      fallback_value: null,
      used_in: ['subject', 'html', 'preheader'],
      paths: ['order.number', 'order.items', 'order.items.size'],
    },
  ],
};

export const exampleTemplate = summary;

const path = `/v1/templates/${summary.id}`;
const stored = (version: number) => ({ object: 'template', id: summary.id, version });
const version = { object: 'template_version', id: `${summary.id}_2`, version: 2 };

export const templateExamples = {
  requests: {
    order: {
      summary: 'An order confirmation',
      value: {
        name: summary.name,
        alias: summary.alias,
        ...sources,
        from: content.from,
        reply_to: 'support@example.com',
        variables: [{ key: 'name', type: 'string', fallback_value: 'friend' }],
      },
    },
  },
  stored: { stored: { summary: 'The first version', value: stored(1) } },
  changes: {
    subject: { summary: 'Another subject', value: { subject: 'We have your order {{ order.number }}' } },
    text: { summary: 'Make the text from the HTML again', value: { text: null } },
  },
  changed: { changed: { summary: 'With a new version', value: stored(4) } },
  one: {
    template: {
      summary: 'The newest version',
      value: { ...summary, ...content, has_unpublished_versions: false, current_version_id: `${summary.id}_3` },
    },
  },
  page: { page: { summary: 'The last page', value: { object: 'list', has_more: false, data: [summary] } } },
  versions: {
    versions: {
      summary: 'Two versions',
      value: {
        object: 'list',
        has_more: false,
        data: [
          { ...version, created_at: '2026-11-22T09:00:00.000Z' },
          { ...version, id: `${summary.id}_1`, version: 1, created_at: summary.created_at },
        ],
      },
    },
  },
  version: { version: { summary: 'An older version', value: { ...version, ...content } } },
  deleted: { deleted: { summary: 'Deleted', value: { object: 'template', id: summary.id, deleted: true } } },
  letter: {
    letter: {
      summary: 'With a name and an order',
      value: {
        object: 'rendered_template',
        subject: 'Your order 1234',
        html: '<p>Hello Ada</p><ul><li>Tea</li></ul>',
        text: 'Hello Ada\n\n- Tea',
        version: 3,
      },
    },
  },
  missing: notFoundExamples(`There is no template ${summary.id}`, path),
  conflict: overtakenExamples(
    `Template ${summary.id} was changed by another request at the same time. Try again.`,
    path,
  ),
  faults: faultExamples(
    '/v1/templates',
    { pointer: '/subject', code: 'custom', message: 'line 1, column 12: output "{{ order.number" not closed' },
    { pointer: '/html', code: 'custom', message: 'line 3, column 7: filter "upper" is not known here' },
  ),
  lacking: faultExamples(
    `${path}/render`,
    { pointer: '/variables/name', code: 'missing_variable', message: 'is missing' },
    { pointer: '/variables/order/number', code: 'missing_variable', message: 'is missing' },
  ),
} satisfies Record<string, Examples>;
