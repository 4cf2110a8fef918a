/** The line into Postfix's smtp-sink, a server by other hands than ours and nodemailer's. */
import { expect, it } from 'vitest';
import { startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { findSmtpSink, openSmtpSink } from '../support/smtp-sink.ts';
import { until } from '../support/until.ts';

it('a hundred emails arrive whole, each once', async (context) => {
  const program = findSmtpSink();
  if (program === undefined) {
    expect(process.env.CI, 'smtp-sink is missing, and CI must have it').toBeUndefined();
    return context.skip('smtp-sink is missing: npm test installs Postfix where it may');
  }
  await using redis = await openTestRedis();
  await using sink = await openSmtpSink(program);
  await using postrider = await startPostrider({
    REDIS_URL: redis.url,
    SMTP_URL: `smtp://127.0.0.1:${sink.port}?tls=none&connections=5`,
  });
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  await Promise.all(
    numbers.map((n) =>
      postrider.api('POST', '/v1/emails', {
        from: 'Ada <a@example.com>',
        to: `Empfänger ${n} <b${n}@example.org>`,
        subject: `Nummer ${n} – größer`,
        text: `.Zeile ${n}\n.\nEnde`,
        attachments: [{ filename: `blatt-ü-${n}.csv`, content: Buffer.from(`n\n${n}\n`).toString('base64') }],
      }),
    ),
  );
  const mails = await until('a hundred mails', async () => {
    const all = await sink.mails();
    return all.length >= 100 && all;
  });
  const seen = mails.map(({ parsed, rcpt }) => ({
    rcpt,
    to: [parsed.to].flat()[0]?.text,
    subject: parsed.subject,
    text: parsed.text?.trimEnd(),
    file: parsed.attachments[0]?.filename,
    content: parsed.attachments[0]?.content.toString(),
  }));
  expect(seen.toSorted((a, b) => Number(a.subject?.match(/\d+/)?.[0]) - Number(b.subject?.match(/\d+/)?.[0]))).toEqual(
    numbers.map((n) => ({
      rcpt: [`b${n}@example.org`],
      to: `"Empfänger ${n}" <b${n}@example.org>`,
      subject: `Nummer ${n} – größer`,
      text: `.Zeile ${n}\n.\nEnde`,
      file: `blatt-ü-${n}.csv`,
      content: `n\n${n}\n`,
    })),
  );
});
