import { connect, type Socket } from "node:net";
import { userInfo } from "node:os";
import {
  CALL,
  type DbusMessage,
  type DbusValue,
  decodeMessage,
  ERROR,
  encodeMessage,
  messageLength,
  REPLY,
} from "./dbus-message.ts";

/** Longest silence of the bus while it owes an answer. */
const TIMEOUT_MS = 10_000;

const DEFAULT_ADDRESS = "unix:path=/var/run/dbus/system_bus_socket";

/** The socket of the system bus: `$DBUS_SYSTEM_BUS_ADDRESS` if that is a Unix socket, else where it always is. */
export function systemBusPath(address = process.env.DBUS_SYSTEM_BUS_ADDRESS ?? DEFAULT_ADDRESS): string {
  for (const each of [...address.split(";"), DEFAULT_ADDRESS]) {
    const path = /^unix:(?:.*,)?path=([^,]*)/.exec(each)?.[1];
    if (path !== undefined) return decodeURIComponent(path);
    const abstract = /^unix:(?:.*,)?abstract=([^,]*)/.exec(each)?.[1];
    if (abstract !== undefined) return `\0${decodeURIComponent(abstract)}`;
  }
  return "";
}

/** A connection to a message bus over which methods are called; answers may come in any order. */
export class DbusConnection implements Disposable {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, { resolve(body: readonly DbusValue[]): void; reject(error: unknown): void }>();
  #serial = 0;
  #received: Buffer = Buffer.alloc(0);
  #failure: unknown;
  /** Called with each line until the bus accepted the user. */
  #line: ((line: string) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("the message bus does not answer")));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the message bus closed the connection")));
    socket.on("data", (chunk: Buffer) => {
      try {
        this.#receive(chunk);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  }

  /** Connects, proves who the user is, and says hello. */
  static async open(path: string): Promise<DbusConnection> {
    const connection = new DbusConnection(connect(path));
    try {
      await connection.#authenticate();
      await connection.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello");
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /** Calls a method whose arguments are texts. Rejects with the error that the service names. */
  call(
    destination: string,
    path: string,
    iface: string,
    member: string,
    ...args: string[]
  ): Promise<readonly DbusValue[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const serial = ++this.#serial;
    const answer = new Promise<readonly DbusValue[]>((resolve, reject) =>
      this.#waiting.set(serial, { resolve, reject }),
    );
    const signature = "s".repeat(args.length);
    this.#socket.write(
      encodeMessage({ type: CALL, serial, destination, path, interface: iface, member, signature, body: args }),
    );
    return answer;
  }

  /** A property of an object. */
  async property(destination: string, path: string, iface: string, name: string): Promise<DbusValue> {
    const [value] = await this.call(destination, path, "org.freedesktop.DBus.Properties", "Get", iface, name);
    if (value === undefined) throw new Error(`${iface}.${name} has no value`);
    return value;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #authenticate(): Promise<void> {
    const line = new Promise<string>((resolve, reject) => {
      this.#line = resolve;
      this.#waiting.set(0, { resolve: () => {}, reject });
    });
    const identity = Buffer.from(String(userInfo().uid)).toString("hex");
    this.#socket.write(`\0AUTH EXTERNAL ${identity}\r\n`);
    const answer = await line;
    this.#waiting.delete(0);
    if (!answer.startsWith("OK ")) throw new Error(`the message bus refuses this user: ${answer}`);
    this.#socket.write("BEGIN\r\n");
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (this.#line !== undefined) {
      const end = this.#received.indexOf("\r\n");
      if (end < 0) return;
      const line = this.#received.toString("utf8", 0, end);
      this.#received = this.#received.subarray(end + 2);
      this.#line(line);
      this.#line = undefined;
    }
    for (;;) {
      const length = messageLength(this.#received);
      if (length === undefined || this.#received.length < length) return;
      this.#dispatch(decodeMessage(this.#received.subarray(0, length)));
      this.#received = this.#received.subarray(length);
    }
  }

  #dispatch(message: DbusMessage): void {
    const waiting = this.#waiting.get(message.replySerial ?? -1);
    if (waiting === undefined) return;
    this.#waiting.delete(message.replySerial!);
    if (message.type === REPLY) waiting.resolve(message.body);
    else if (message.type === ERROR)
      waiting.reject(new Error(`${message.errorName}: ${message.body[0] ?? "no details"}`));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
