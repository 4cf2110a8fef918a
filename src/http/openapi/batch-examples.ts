/** Examples of batches and of their answers. */
import type { Examples } from './examples.ts';

export const batchExamples: Examples = {
  list: {
    summary: 'A list of emails',
    value: [
      {
        from: 'Acme <hello@example.com>',
        to: 'ada@example.org',
        subject: 'Your receipt',
        text: 'Thank you for your order 1234.',
        idempotency_key: 'receipt-1234',
      },
      {
        from: 'Acme <hello@example.com>',
        to: 'grace@example.org',
        subject: 'Your receipt',
        text: 'Thank you for your order 1235.',
        idempotency_key: 'receipt-1235',
      },
    ],
  },
  base_and_messages: {
    summary: 'Common fields, and the fields of each email',
    value: {
      base: {
        from: 'Acme <news@example.com>',
        subject: 'We are closed on Monday',
        text: 'Dear customer, our shop is closed on Monday.',
        html: '<p>Dear customer, our shop is closed on <b>Monday</b>.</p>',
        lane: 'bulk',
        tags: [{ name: 'kind', value: 'news' }],
      },
      messages: [
        { to: 'Ada Lovelace <ada@example.org>', external_id: 'customer-17' },
        { to: 'Grace Hopper <grace@example.org>', external_id: 'customer-18' },
        {
          to: 'linus@example.org',
          external_id: 'customer-19',
          text: 'Bonjour, notre magasin est fermé lundi.',
          html: '<p>Bonjour, notre magasin est fermé <b>lundi</b>.</p>',
        },
      ],
    },
  },
};

export const acceptedBatchExamples: Examples = {
  strict: {
    summary: 'All accepted',
    value: { data: [{ id: 'em_01kb2m9a5c7e9g1j3m5p7r9t1v' }, { id: 'em_01kb2m9a5d8f0h2k4n6q8s0t2v' }] },
  },
  permissive: {
    summary: 'Permissive: all but the second accepted',
    value: {
      data: [{ id: 'em_01kb2m9a5c7e9g1j3m5p7r9t1v' }, { id: 'em_01kb2m9a5d8f0h2k4n6q8s0t2v' }],
      errors: [{ index: 1, message: '/messages/1/to: is not an address: expected local-part@domain' }],
    },
  },
};
