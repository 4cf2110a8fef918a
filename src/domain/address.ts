/** Parses one mailbox (RFC 5322 section 3.4, RFC 6531) strictly: exactly one address, nothing that could inject a header or command. */

export type Mailbox = { readonly address: string; readonly name?: string };

export type AddressFault = { readonly fault: string };

/** RFC 5321 section 4.5.3.1: octets, not characters. */
const maxAddressOctets = 254;
const maxLocalOctets = 64;
const maxLabelOctets = 63;
const maxDomainLength = 253;
const maxNameLength = 320;
/** Limit of a mailbox as written, with quotes and spaces. Longer text is not parsed: the parser is made for a line. */
const maxMailboxLength = 1_500;

const atomCharacters = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+$/u;
/** Spaces, format characters and everything else that is drawn as nothing: with them two different addresses could look the same. */
const invisible = /[\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u;
const controlCharacters = /[\p{Cc}\u2028\u2029]/u;
/**
 * An encoded word (RFC 2047). Many receivers decode it even where the standard forbids that, also across spaces, and would show another text
 * than the one given.
 */
export const encodedWord = /=\?[^?]*\?[bq]\?[^?]*\?=/i;
/** A header is folded at its spaces. A line of nothing but spaces would end the header for a reader that trims lines. */
const spaceRun = / {61}/;
const label = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
/** Matches nearly all real addresses. A short address of this form breaks no rule, and the full check takes ten times as long. */
const plain = /^[\w+-]+(?:\.[\w+-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z](?:[a-z0-9-]*[a-z0-9])?$/i;
const maxPlainLength = 64;

/** Reads `a@b.c`, `Name <a@b.c>` or `"Name, quoted" <a@b.c>`. The domain comes back in lower-case A-labels. */
export function parseMailbox(text: string): Mailbox | AddressFault {
  if (text.length > maxMailboxLength) return tooLong;
  if (controlCharacters.test(text) || !text.isWellFormed())
    return { fault: 'has a control character or broken Unicode' };
  const trimmed = text.trim();
  if (!trimmed.endsWith('>')) return parseAddress(trimmed, undefined);
  const open = trimmed.lastIndexOf('<');
  if (open < 0) return { fault: "has '>' without '<'" };
  const name = parseDisplayName(trimmed.slice(0, open).trim());
  if (typeof name !== 'string') return name;
  return parseAddress(trimmed.slice(open + 1, -1), name);
}

/** The object form `{email, name}`: `email` is a bare address and `name` any text without control characters. */
export function makeMailbox(email: string, name: string | undefined): Mailbox | AddressFault {
  if (email.length > maxMailboxLength || (name ?? '').length > maxMailboxLength) return tooLong;
  if (controlCharacters.test(email)) return { fault: 'has a control character' };
  if (name !== undefined && (controlCharacters.test(name) || !name.isWellFormed())) {
    return { fault: 'name has a control character or broken Unicode' };
  }
  return parseAddress(email.trim(), name?.trim());
}

const tooLong: AddressFault = { fault: `is over ${maxMailboxLength} characters` };

function parseDisplayName(raw: string): string | AddressFault {
  if (raw === '') return '';
  if (raw.startsWith('"')) {
    if (!/^"(?:[^"\\]|\\.)*"$/u.test(raw)) return { fault: 'has a display name with an unclosed or misplaced quote' };
    return raw.slice(1, -1).replace(/\\(.)/gu, '$1').trim();
  }
  // An unquoted comma, colon or semicolon would make a list or a group; an angle bracket or at sign, a second address.
  const special = /["(),:;<>@[\\\]]/.exec(raw)?.[0];
  return special === undefined ? raw : { fault: `has an unquoted ${special} in the display name` };
}

function parseAddress(written: string, name: string | undefined): Mailbox | AddressFault {
  if (!name && written.length <= maxPlainLength && plain.test(written)) return plainAddress(written);
  // Before all checks: some characters beyond ASCII become `;` or a backtick.
  const text = composed(written);
  const at = text.lastIndexOf('@');
  if (at < 1) return { fault: 'is not an address: expected local-part@domain' };
  const local = simplestLocal(text.slice(0, at));
  const domain = parseDomain(text.slice(at + 1));
  if (typeof domain !== 'string') return domain;
  if (controlCharacters.test(text) || !text.isWellFormed())
    return { fault: 'has a control character or broken Unicode' };
  if (encodedWord.test(local)) return { fault: 'has an encoded word (=?…?=) in its local part' };
  if (!isLocalPart(local)) return { fault: `has a local part that is not allowed: ${local.slice(0, 80)}` };
  const address = `${local}@${domain}`;
  if (Buffer.byteLength(local) > maxLocalOctets) return { fault: `has a local part over ${maxLocalOctets} octets` };
  if (Buffer.byteLength(address) > maxAddressOctets) return { fault: `is over ${maxAddressOctets} octets` };
  if (name !== undefined && name.length > maxNameLength)
    return { fault: `has a name over ${maxNameLength} characters` };
  if (name !== undefined && spaceRun.test(name)) return { fault: 'has more than 60 spaces in a row in the name' };
  if (name !== undefined && encodedWord.test(name))
    return { fault: 'has an encoded word (=?…?=) in the name: give the name itself, in Unicode' };
  return name ? { address, name } : { address };
}

function plainAddress(text: string): Mailbox {
  const at = text.indexOf('@');
  return { address: `${text.slice(0, at)}@${text.slice(at + 1).toLowerCase()}` };
}

/** Normalization form C (RFC 6532 section 3.1). Nearly all addresses are ASCII, where looking takes a quarter of the time of normalizing. */
export function composed(text: string): string {
  return /[^ -~]/.test(text) ? text.normalize('NFC') : text;
}

/**
 * A mailbox can be written in many ways (RFC 5321 section 4.1.2). Without one canonical form, another spelling would bypass what is known of the
 * address. The form: no quotes where none are needed, else as few backslashes as possible.
 */
function simplestLocal(local: string): string {
  if (!local.startsWith('"') || !isLocalPart(local)) return local;
  const meant = local.slice(1, -1).replace(/\\(.)/g, '$1');
  return isDotAtom(meant) ? meant : `"${meant.replace(/["\\]/g, '\\$&')}"`;
}

/** RFC 5321 allows quoted local parts with printable ASCII only. `<` and `>` would end an SMTP path for a careless relay. */
function isLocalPart(local: string): boolean {
  if (local.startsWith('"'))
    return /^"(?:[\x20\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7e]|\\[\x20-\x3b\x3d\x3f-\x7e])+"$/.test(local);
  return isDotAtom(local);
}

function isDotAtom(local: string): boolean {
  return !invisible.test(local) && local.split('.').every((atom) => atomCharacters.test(atom));
}

/** Parses a host name of two labels or more, or `localhost`. Returns lower-case A-labels (RFC 5890). */
export function parseDomain(text: string): string | AddressFault {
  if (text === '') return { fault: 'has no domain' };
  // The time to make A-labels grows with the square of the length: 4,000 letters took 155 ms.
  if (text.length > maxDomainLength) return { fault: `has a domain over ${maxDomainLength} characters` };
  const ascii = /^[\x21-\x7e]+$/.test(text) ? text.toLowerCase() : toALabels(text);
  const labels = ascii.split('.');
  const isName = labels.length > 1 || ascii === 'localhost';
  const wellFormed = labels.every((part) => label.test(part) && part.length <= maxLabelOctets);
  if (!isName || !wellFormed || ascii.length > maxDomainLength || /^[0-9]+$/.test(labels.at(-1) ?? '')) {
    return { fault: `has a domain that is not a host name: ${text.slice(0, 80)}` };
  }
  return ascii;
}

/** The URL parser applies UTS 46. Everything it would read as more than a host is refused before. */
function toALabels(domain: string): string {
  if (/[\s/?#@:%[\]\\^|<>`{}]/u.test(domain)) return '';
  return URL.parse(`http://${domain}`)?.hostname ?? '';
}

/** `"Name" <a@b>` for people to read. */
export function formatMailbox(mailbox: Mailbox): string {
  if (mailbox.name === undefined) return mailbox.address;
  const plain = /^[\p{L}\p{N} !#$%&'*+\-/=?^_`{|}~]+$/u.test(mailbox.name);
  return `${plain ? mailbox.name : `"${mailbox.name.replace(/["\\]/g, '\\$&')}"`} <${mailbox.address}>`;
}

/** The part after the last at sign. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/** What a log may show: the first character of the local part and the domain. */
export function maskAddress(address: string): string {
  return `${address.slice(0, 1)}***@${domainOf(address)}`;
}

/**
 * An address with a quoted local part, or a word: what no unquoted address goes beyond. An apostrophe belongs to it. A pattern that searches the
 * at sign itself retries from each character of a long word: 17 s for 100,000 letters. A closing quote is searched within 64 characters, which
 * is as many as a local part has. It may begin with an at sign: then a quote before it seems to be the local part, and is masked with it.
 */
const quotedAddressOrWord = /"(?:(?:[^"\\]|\\.){1,64}"@){1,4}[^\s<>"(),;:]+|[^\s<>"(),;:]+/g;

/** Masks in any text, such as a server's reply, every address that `parseMailbox` accepts. */
export function maskAddresses(text: string): string {
  return text.replace(quotedAddressOrWord, (found) => (/[^@]@[^@]/.test(found) ? maskAddress(found) : found));
}
