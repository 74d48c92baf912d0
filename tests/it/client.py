"""What an application in Python would do, through the `redis` package. Usage: client.py PORT PROTOCOL"""

import sys

import redis


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r} instead of {expected!r}")


def main(port, protocol):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True, socket_timeout=60)
    client.flushall()

    check("ping", client.ping(), True)
    check("set", client.set("k", "v"), True)
    check("get", client.get("k"), "v")
    check("get of a missing key", client.get("missing"), None)
    check("set nx", client.set("k", "w", nx=True), None)
    check("set get", client.set("k", "w", get=True), "v")
    check("mset", client.mset({f"m:{n}": n for n in range(50)}), True)
    check("mget", client.mget([f"m:{n}" for n in range(50)]), [str(n) for n in range(50)])
    check("incr", [client.incr("n"), client.incr("n", 10), client.decr("n", 2)], [1, 11, 9])
    check("incrbyfloat", client.incrbyfloat("f", 0.1), 0.1)
    check("append", client.append("k", "xyz"), 4)
    check("delete", client.delete("k", "f", "missing"), 2)

    with client.pipeline(transaction=False) as pipe:
        for n in range(500):
            pipe.set(f"p:{n}", n).incr("sum", n)
        replies = pipe.execute()
    check("pipeline", replies[1::2], [n * (n + 1) // 2 for n in range(500)])

    check("expire", client.expire("n", 1000), True)
    check("ttl", 0 < client.ttl("n") <= 1000, True)
    check("expire nx", client.expire("n", 2000, nx=True), False)
    check("persist", [client.persist("n"), client.ttl("n")], [True, -1])
    check("scan_iter", sorted(client.scan_iter("p:*", count=7)), sorted(f"p:{n}" for n in range(500)))
    check("keys", sorted(client.keys("m:?")), [f"m:{n}" for n in range(10)])
    check("dbsize", client.dbsize(), 552)
    check("type", client.type("n"), "string")

    info = client.info()
    check("info", [info["tcp_port"], info["db0"]["keys"]], [port, 552])
    check("info of a section", "redis_version" in client.info("server"), True)
    client.client_setname("tester")
    mine = [line for line in client.client_list() if line["name"] == "tester"]
    check("client_list", [line["id"] for line in mine], [str(client.client_id())])
    check("client_info", client.client_info()["name"], "tester")
    check("client library", client.client_info()["lib-name"].startswith("redis-py"), True)
    check("config_get", client.config_get("maxclients")["maxclients"].isdigit(), True)
    check("config_set", client.config_set("timeout", 0), True)
    check("command_count", client.command_count() > 50, True)
    check("command", client.command()["get"]["arity"], 2)
    check("command_getkeys", client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
    docs = client.execute_command("COMMAND DOCS", "get", "set")
    check("command docs", len(docs), 2 if isinstance(docs, dict) else 4)
    check("time", len(client.time()), 2)

    other = redis.Redis(port=port, protocol=protocol, db=7, decode_responses=True, socket_timeout=60)
    check("another database", [other.get("n"), other.set("n", 7), client.get("n")], [None, True, "9"])
    check("move", other.move("n", 8), True)

    binary = redis.Redis(port=port, protocol=protocol, socket_timeout=60)
    value = bytes(range(256)) * 5000
    binary.set(b"\x00\xff", value)
    check("binary value", binary.get(b"\x00\xff"), value)

    try:
        client.execute_command("NOSUCH", "a")
    except redis.ResponseError as error:
        check("unknown command", str(error).startswith("unknown command 'NOSUCH'"), True)
    else:
        sys.exit("an unknown command is no error")
    print("all as expected")


main(int(sys.argv[1]), int(sys.argv[2]))
