/** A process of its own: what composing the letter costs, by us and by nodemailer. */
import { acceptEmail } from '../src/domain/email.ts';
import { emailRequestFor } from '../src/domain/email-request.ts';
import { compose } from '../src/outbound/compose.ts';
import { uncountedShare } from './counts.ts';
import { composeLetter, recipient, writeLetter } from './letter.ts';
import { answerRequests } from './processes.ts';

/** Letters to compose. */
export type ComposeRequest = number;

/** CPU microseconds for each letter. */
export type ComposeCost = { readonly ours: number; readonly mailComposer: number };

const letter = writeLetter(recipient(0));
const schema = emailRequestFor({ maxAttachmentBytes: 0, routes: () => [], canUnsubscribe: true, now: () => 0 });
const email = acceptEmail(schema.parse(letter), { id: 'em_bench', keyId: 'key_bench', now: 0 });

answerRequests<ComposeRequest, ComposeCost>(async (count) => ({
  mailComposer: await costOf(count, () => composeLetter(letter)),
  ours: await costOf(count, () => compose(email, email.content, email.files)),
}));

async function costOf(count: number, work: () => Promise<Buffer>): Promise<number> {
  for (let n = 0; n < count * uncountedShare; n++) await work();
  const before = process.cpuUsage();
  for (let n = 0; n < count; n++) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}
