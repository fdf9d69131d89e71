"""A web application of Flask, served by a pre-forking gunicorn: web_service.py FOLDER

The master says what port it has in the file FOLDER/port. Each worker tells the test when it is about to take requests,
and appends a byte to the file FOLDER/PID for every request: the size is its own count, whatever becomes of the worker.
SIGTERM ends all of it well.
"""

import os
import sys

import flask
import gunicorn.app.base

import protocol

FOLDER = sys.argv[1]
WORKERS = 2

application = flask.Flask(__name__)


@application.route("/orders/<int:number>")
def order(number):
    count_request()
    return flask.jsonify(number=number, total=sum(price(item) for item in range(number)))


def price(item):
    return 3 * item


def count_request():
    with open(os.path.join(FOLDER, str(os.getpid())), "ab") as requests:
        requests.write(b".")


class Service(gunicorn.app.base.BaseApplication):
    def load_config(self):
        settings = {
            "bind": "127.0.0.1:0",
            "workers": WORKERS,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": serving,
            "post_worker_init": taking_requests,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self):
        return application


def serving(arbiter):
    _host, port = arbiter.LISTENERS[0].sock.getsockname()
    with open(os.path.join(FOLDER, "port"), "w", encoding="ascii") as out:
        out.write(str(port))
    protocol.say("ready", os.getpid())


def taking_requests(worker):
    protocol.known(function="order", pid=worker.pid)


if __name__ == "__main__":
    Service().run()
