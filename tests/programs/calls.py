"""Calls of every kind, each often enough for the interpreter to specialise it."""

import functools

import protocol

ROUNDS = 300


def leaf(number):
    return number + 1


def middle(number):
    return leaf(number) + leaf(number)


def outer(number):
    return middle(number) + leaf(number)


def nested():
    for number in range(ROUNDS):
        outer(number)


def factorial(number):
    return 1 if number < 2 else number * factorial(number - 1)


def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def is_even(number):
    return True if number == 0 else is_odd(number - 1)


def is_odd(number):
    return False if number == 0 else is_even(number - 1)


def recursion():
    for _ in range(20):
        factorial(50)
    fibonacci(14)
    is_even(200)


class Cat:
    def speak(self):
        return "meow"


class Dog:
    def speak(self):
        return "woof"


def same_named_methods():
    animals = [Cat(), Dog(), Dog()]
    for _ in range(ROUNDS):
        for animal in animals:
            animal.speak()


class Base:
    def __init__(self, balance):
        self.set_up(balance)

    def set_up(self, balance):
        self.amount = balance


class Account(Base):
    def __init__(self, balance):
        super().__init__(balance)
        self.changes = 0

    @property
    def balance(self):
        return self.amount

    @balance.setter
    def balance(self, value):
        self.amount = value
        self.changes += 1

    @classmethod
    def empty(cls):
        return cls(0)

    @staticmethod
    def rate():
        return 3

    def __getitem__(self, key):
        return self.amount + key

    def __getattr__(self, name):
        return len(name)

    def __call__(self, value):
        return value

    def __eq__(self, other):
        return self.amount == other.amount

    __hash__ = None

    def __bool__(self):
        return self.amount > 0

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return False


def attributes():
    for number in range(ROUNDS):
        account = Account(number)
        account.balance += 1
        assert account[2] == number + 3
        assert account.not_there == len("not_there")
        assert account(number) == number
        assert account == account
        assert account
        with account:
            account.rate()
        Account.empty()


def lambdas():
    add = lambda left, right: left + right  # noqa: E731
    for number in range(ROUNDS):
        add(number, 1)
        (lambda: number)()


def double(number):
    return number * 2


def comprehensions():
    for _ in range(20):
        [double(number) for number in range(10)]
        {double(number) for number in range(10)}
        {number: double(number) for number in range(10)}
        sum(double(number) for number in range(10))
        [[double(inner) for inner in range(outer_)] for outer_ in range(4)]


def make_class(number):
    class Local:
        size = number

        class Inner:
            def method(self):
                return 1

        def method(self):
            return Local.Inner().method()

    return Local


def class_bodies():
    for number in range(50):
        make_class(number)().method()


def make_counter():
    count = 0

    def increment():
        nonlocal count
        count += 1
        return count

    return increment


def closures():
    for _ in range(30):
        increment = make_counter()
        for _ in range(10):
            increment()


def with_defaults(first, second=2, *rest, third=3, **more):
    return first + second + third + len(rest) + len(more)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        return function(*arguments, **named)

    return wrapper


@decorated
def wrapped(number):
    return number


@functools.lru_cache(maxsize=None)
def cached(number):
    return number


def argument_styles():
    add = functools.partial(with_defaults, 1, third=4)
    for number in range(ROUNDS):
        with_defaults(number)
        with_defaults(*(1, 2, 3), **{"third": 4, "fourth": 5})
        add(number)
        wrapped(number)
        cached(number % 10)


def executed():
    for number in range(40):
        space = {"leaf": leaf}
        exec(compile("def once(n):\n    return leaf(n)\nonce(1)\nonce(2)", "<executed>", "exec"), space)
        eval("leaf(once(3))", space)
        space["once"](number)


def workload(_options):
    nested()
    recursion()
    same_named_methods()
    attributes()
    lambdas()
    comprehensions()
    class_bodies()
    closures()
    argument_styles()
    executed()


if __name__ == "__main__":
    protocol.run(workload)
