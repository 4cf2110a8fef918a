/** Says in words what a reply means to Postrider, for the command line. */
import { type Classification, classify, parseReply } from './classify.ts';
import type { ReplyAction } from './reply-row.ts';

type Meaning = (classified: Classification) => string;

const meanings: Readonly<Record<ReplyAction, Meaning>> = {
  accept: () => 'The next hop has accepted the message: the recipient ends as sent.',
  retry: ({ waitMs }) => `The recipient is deferred and tried again ${whenAgain(waitMs)}. The attempt counts.`,
  slow_down: ({ waitMs }) =>
    `The next hop asks for less: the recipient is deferred and tried again ${whenAgain(waitMs)}. The attempt counts.`,
  fail: ({ suppress }) =>
    `The recipient has bounced and is not tried again. ${
      suppress
        ? 'The reply is about the address itself, which is suppressed.'
        : 'The reply is not about the address itself, which is not suppressed.'
    }`,
  stop_transport: () =>
    'The trouble is with the transport: the recipient waits and is tried again in a few seconds, and no attempt is counted. Check the transport.',
};

/** @returns null when the reply does not begin with a three-digit code */
export function describeReply(text: string): string | null {
  const smtp = parseReply(text);
  if (smtp.code === 0) return null;
  const classified = classify(smtp);
  const { row, action, category, suppress, waitMs } = classified;
  const fields = Object.entries({
    row: row.name,
    action,
    category,
    suppress: suppress ? 'yes' : 'no',
    wait: waitMs === null ? 'none named' : durationOf(waitMs),
  });
  return [
    ...smtp.reply.split(/\r?\n/).map(printable),
    ...fields.map(([name, value]) => `  ${name.padEnd(9)} ${value}`),
    `  ${meanings[action](classified)}`,
  ].join('\n');
}

function whenAgain(waitMs: number | null): string {
  return waitMs === null ? 'by the retry schedule' : `no sooner than the ${durationOf(waitMs)} it asks for`;
}

/** A server's words must not drive the terminal they are shown on. */
function printable(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, ' ');
}

function durationOf(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  const parts = { h: Math.floor(seconds / 3_600), min: Math.floor(seconds / 60) % 60, s: seconds % 60 };
  const said = Object.entries(parts).filter(([, count]) => count > 0);
  return said.map(([unit, count]) => `${count} ${unit}`).join(' ');
}
