/** The data of one transaction (RFC 5321 section 4.5.2): the message with its dots doubled at the start of lines, and the line that ends it. */

const lf = 0x0a;
const dot = 0x2e;
const lineThenDot = Buffer.from('\r\n.');
const oneDot = Buffer.from('.');

/** @param message every line of it ends with CRLF, but perhaps the last: a lone CR or LF could end the data early for some servers */
export function toData(message: Buffer): Buffer {
  const end = Buffer.from(message.at(-1) === lf ? '.\r\n' : '\r\n.\r\n');
  const pieces: Buffer[] = message[0] === dot ? [oneDot] : [];
  let from = 0;
  for (let at = message.indexOf(lineThenDot); at >= 0; at = message.indexOf(lineThenDot, from)) {
    // Up to the dot; what comes next begins with it once more.
    pieces.push(message.subarray(from, at + 2), oneDot);
    from = at + 2;
  }
  // The dot just doubled is not looked at again: a search from it finds the next line.
  return Buffer.concat([...pieces, message.subarray(from), end]);
}
