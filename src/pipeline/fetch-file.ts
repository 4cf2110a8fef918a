/** fetch-file: fetches a file given by URL, outside the jobs, and stores it with its email, so that each attempt sends the same message. */
import type { Shares } from '../concurrency/shares.ts';
import { type Fetched, hostOf, type MissingFile } from '../domain/attachment.ts';
import { type Attachment, type Content, type StoredEmail, unreadable } from '../domain/email.ts';
import { addFile } from '../domain/file.ts';
import type { Lane } from '../domain/lane.ts';
import type { SettledOutcome } from '../domain/outcome.ts';
import { nextDue } from '../domain/recipient.ts';
import type { AttachmentClient } from '../outbound/attachment-client.ts';
import type { Due } from '../store/due.ts';
import type { Emails } from '../store/emails.ts';

type Deps = {
  emails: Pick<Emails, 'content' | 'keepFiles'>;
  due: Pick<Due, 'mark'>;
  client: Pick<AttachmentClient, 'fetch'>;
  lane: Lane;
  /** Ids of the emails of this lane whose file is being fetched here, or waits for that. */
  inHand: Set<string>;
  /** Emails of this lane that may be in hand, shared by the hosts of their files. */
  places: Pick<Shares, 'tryTake'>;
  /** False when nothing was stored. */
  settle(email: StoredEmail, outcome: SettledOutcome, attemptId: string): Promise<boolean>;
  /** Takes the work that goes on outside the jobs, and that a stop waits for. It never rejects. */
  inBackground(work: Promise<void>): void;
  /** Aborted when the process begins to stop: what is not there by then is fetched by another worker. */
  stopping: AbortSignal;
  /** An email in hand is taken up again after this, unless `keepFetching` moves that on: then its worker died. */
  leaseMs: number;
  report(fetched: { email: StoredEmail; host: string; outcome: Fetched['kind'] }): void;
  onTrouble(part: 'fetch file', error: unknown, fields: { readonly email: string }): void;
  newId(prefix: 'at'): string;
  now(): number;
};

/** An email that found no place comes again after as long as it has waited so far, within these bounds: each look costs something. */
const leastWaitMs = 1_000;
const mostWaitMs = 60_000;
/** Wait after an error: a bug, or Redis is away. A quick retry helps with neither. */
const troubleWaitMs = 5_000;

/** Begins to fetch one file and returns. The email is in no job until the file is there, or is known not to come. */
export async function fetchFile(deps: Deps, email: StoredEmail, missing: MissingFile): Promise<void> {
  const { inHand, places, leaseMs, now } = deps;
  const { id } = email.facts;
  // The email was in two jobs, and the other has it fetched.
  if (inHand.has(id)) return mark(deps, id, now() + leaseMs);
  const release = places.tryTake(hostOf(missing.url));
  if (release === null) return mark(deps, id, laterAt(email, now()));
  inHand.add(id);
  try {
    await mark(deps, id, now() + leaseMs);
  } catch (error) {
    inHand.delete(id);
    release();
    throw error;
  }
  deps.inBackground(bring(deps, email, missing).finally(release));
}

/** Moves on the time at which another worker takes up what this one has in hand. */
export async function keepFetching({
  due,
  lane,
  inHand,
  leaseMs,
  now,
}: Pick<Deps, 'due' | 'lane' | 'inHand' | 'leaseMs' | 'now'>): Promise<void> {
  const at = now() + leaseMs;
  await due.mark(
    lane,
    [...inHand].map((id) => ({ id, at, isForFile: true })),
    now(),
  );
}

async function bring(deps: Deps, email: StoredEmail, missing: MissingFile): Promise<void> {
  const { id } = email.facts;
  const { client, due, lane, inHand, stopping: stop, onTrouble, now } = deps;
  const { url, maxBytes } = missing;
  const forMs = (email.state.expiresAt ?? Number.POSITIVE_INFINITY) - now();
  try {
    const next = await client.fetch({ url, maxBytes, lane, forMs, stop }, (fetched) => {
      // From here on no mark may be moved any more: the next one says when it comes again.
      inHand.delete(id);
      deps.report({ email, host: hostOf(url), outcome: fetched.kind });
      return settleFetched(deps, email, missing, fetched);
    });
    if (next !== null) await due.mark(lane, [{ id, ...next }], now());
  } catch (error) {
    inHand.delete(id);
    onTrouble('fetch file', error, { email: id });
    // Without this mark it comes again at the end of the lease.
    await due.mark(lane, [{ id, at: now() + troubleWaitMs }], now()).catch(() => {});
  }
}

/** When an email comes again, and whether it waits for its file until then. */
type Next = { readonly at: number; readonly isForFile?: true };

/** @returns null when it is stored already when the email comes again */
async function settleFetched(
  deps: Deps,
  email: StoredEmail,
  missing: MissingFile,
  fetched: Fetched,
): Promise<Next | null> {
  switch (fetched.kind) {
    case 'put_off':
      return deps.stopping.aborted ? { at: deps.now() } : { at: laterAt(email, deps.now()), isForFile: true };
    case 'fault': {
      const isSettled = await deps.settle(email, faultOf(missing, fetched), deps.newId('at'));
      return isSettled ? null : { at: deps.now() };
    }
    case 'fetched':
      await keep(deps, email, missing, fetched);
      return { at: deps.now() };
  }
}

/** @param at when it is looked at again, if it is not there before */
function mark({ due, lane, now }: Deps, id: string, at: number): Promise<void> {
  return due.mark(lane, [{ id, at, isForFile: true }], now());
}

/** No later than it expires. */
function laterAt({ state }: StoredEmail, now: number): number {
  const waited = now - (nextDue(state) ?? now);
  const at = now + Math.min(mostWaitMs, Math.max(leastWaitMs, waited));
  return Math.min(at, Math.max(now, state.expiresAt ?? at));
}

type Got = Extract<Fetched, { kind: 'fetched' }>;

/** Nothing is stored when the email changed meanwhile, or another worker was faster. */
async function keep({ emails }: Deps, email: StoredEmail, { place }: MissingFile, got: Got): Promise<void> {
  const content = await emails.content(email.facts.id);
  if (content === null || content === unreadable) return;
  const missing = content.attachments[place];
  if (missing?.source.kind !== 'url') return;
  const files = new Map<string, Buffer>();
  const source = addFile(got.content, files);
  const isThere = content.attachments.some((one) => one.source.kind === 'file' && files.has(one.source.hash));
  const attachment = { ...missing, contentType: typeFor(missing, got.contentType), source };
  const whole: Content = { ...content, attachments: content.attachments.with(place, attachment) };
  await emails.keepFiles(email, whole, isThere ? new Map() : files);
}

function faultOf({ filename }: MissingFile, fault: Extract<Fetched, { kind: 'fault' }>): SettledOutcome {
  const { detail, loggable, isFinal } = fault;
  const named = { detail: `attachment ${filename}: ${detail}`, loggable: `attachment: ${loggable}` };
  return { kind: 'fetch_fault', ...named, isFinal };
}

/** The type that its server reports counts only when neither the caller nor the file name gives one. */
function typeFor({ contentType, filename }: Attachment, served: string | null): string | null {
  if (contentType !== null || filename.includes('.')) return contentType;
  return served?.split(';')[0]?.trim() ?? null;
}
