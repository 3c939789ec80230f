"""The built-in vocabulary: words and phrases that speak for a category, in several languages.

Each group has one weight, set by hand: about how much one of its words multiplies the odds, as a
logarithm. Entries are separated by commas and written the way the tokenizer sees them: lower case,
punctuation as a space (`qu est ce`). `stem*`, five letters or more, matches every word that begins
so. Chinese, Japanese and Korean entries match anywhere.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Group:
    """`where="opening"` counts only at the beginning of the text, after words of courtesy."""

    name: str
    category: str
    weight: float
    words: str
    where: Literal["anywhere", "opening"] = "anywhere"


GROUPS: tuple[Group, ...] = (
    Group(
        "programming languages",
        "code",
        2.6,
        "python, javascript, typescript, java, c++, c#, csharp, cpp, golang, rust, kotlin, php, "
        "perl, scala, haskell, matlab, sql, mysql, postgresql, postgres, sqlite, mongodb, html, "
        "html5, css, bash, powershell, ruby, rails, django, flask, fastapi, react, reactjs, "
        "angular, angularjs, vue, svelte, node js, nodejs, jquery, numpy, pandas, matplotlib, "
        "tensorflow, pytorch, scipy, keras, selenium, opencv, pyspark, hadoop, hibernate, "
        "spring boot, spring security, asp net, wpf, winforms, silverlight, linq, vba, vb net, "
        "objective c, qt, xaml, jsp, xslt, xpath, verilog, vhdl, arduino, cuda, opengl, unity3d, "
        "tkinter, sqlalchemy, ggplot, dplyr, latex3, lua, elixir, erlang, clojure, fortran, "
        "cobol, delphi, wordpress, drupal, magento, laravel, symfony, graphql, prisma, redux, "
        "webpack, vite, nextjs, next js, express js, beautifulsoup",
    ),
    Group(
        "tools of the trade",
        "code",
        2.4,
        "git, github, gitlab, svn, subversion, mercurial, docker, dockerfile, kubernetes, k8s, "
        "ansible, terraform, jenkins, maven, gradle, npm, pip, conda, eclipse, xcode, "
        "visual studio, vs code, vscode, vim, emacs, intellij, cmake, makefile, nginx, apache, "
        "tomcat, iis, aws lambda, azure, heroku, linux, ubuntu, unix, cron, crontab, ssh, "
        "systemd, redis, kafka, rabbitmq, elasticsearch, localhost, sharepoint, firebase, "
        "cygwin, valgrind, gdb, gcc, ios app, android app, ci cd",
    ),
    Group(
        "words of programmers",
        "code",
        1.6,
        "code, codes, coding, program, programs, programming, programmer, programmatically, "
        "script, scripts, function, functions, method, methods, algorithm, algorithms, api, "
        "apis, rest api, json, xml, yaml, csv, regex, regexp, regular expression, array, arrays, "
        "string, strings, integer, integers, boolean, float, list comprehension, dictionary, "
        "dict, tuple, tuples, hashmap, linked list, binary tree, loop, loops, for loop, "
        "while loop, recursion, recursive, variable, variables, pointer, pointers, struct, enum, "
        "iterator, lambda, class, classes, subclass, inheritance, polymorphism, constructor, "
        "interface, decorator, namespace, module, library, framework, compiler, compile, "
        "compiling, runtime, debug, debugging, debugger, bug, bugs, refactor, exception, "
        "exceptions, stack trace, stacktrace, segfault, null pointer, nullpointerexception, "
        "syntax error, unit test, unit tests, deploy, deployment, repository, commit, "
        "merge conflict, query, queries, database, databases, schema, backend, frontend, "
        "server side, client side, async, await, thread, threads, multithreading, mutex, socket, "
        "sockets, http, https, url, urls, endpoint, parse, parsing, parser, serialize, "
        "dataframe, dataframes, data frame, column, columns, index, matrix, sublist, "
        "nested list, nested lists, given list, given string, given array, element wise, sort, "
        "lists, list of lists, hexadecimal, subdomain, neural network, stdin, stdout, "
        "command line, terminal, shell, config file, import, div, textbox, dropdown, listview, "
        "datagrid, gridview, onclick, button click, event handler, callback, plugin, web app, "
        "webapp, website, web page, webpage, web service, servlet, dll, exe, jar, file, files, "
        "folder, directory, filename, delimiter, substring, substrings, unicode, utf8, utf 8, "
        "ascii, encoding, hex, bytes, byte, binary, datetime, timestamp, javascript object, "
        "ajax, dom, browser, chrome extension, user control, viewmodel",
    ),
    Group(
        "asks for a program",
        "code",
        2.2,
        "write a function, write a python, write a program, write code, write a script, "
        "write a query, write a method, write a class, write a regex, write a bash, write a sql, "
        "implement, fix this code, fix the code, fix my code, fix this bug, this code, my code, "
        "the code, following code, source code, code snippet, code review, review this code, "
        "unit tests for, convert this code, optimize this, how to implement, create a function, "
        "create a script, create a class, create a website, create an app, given a list, "
        "given an array, given a string, in python, using python, in java, in javascript, in c, "
        "in c++, in c#, in r, in bash, in rust, in go",
    ),
    Group(
        "programmieren",
        "code",
        1.6,
        "programmier*, quelltext, quellcode, skript, funktion, methode, algorithmus, datenbank, "
        "datenbanken, zeichenkette, schleife, variable, compiler*, fehlermeldung, kompilier*, "
        "klasse, abfrage, dateien, programme, programmer, code source, fonction, fonctions, "
        "algorithme, base de données, chaîne de caractères, boucle, tableau, requête, classe, "
        "compilateur, débogu*, développ*, méthode, fichier, fichiers, programa, programar, "
        "código, función, funciones, algoritmo, base de datos, cadena de texto, bucle, "
        "consulta sql, clase, compilador, depurar, método, archivo, archivos, arreglo, код, "
        "кода, функци*, программ*, скрипт, скрипта, класс, массив, массива, запрос, запроса, "
        "переменн*, 代码, 程序, 编程, 函数, 脚本, 算法实现, 数据库, 变量, 数组, 报错, 编译, "
        "接口, 字符串, 循环, 正则, 代碼, 程式, コード, プログラム, 関数, スクリプト, 코드, "
        "프로그램, 함수, 스크립트",
    ),
    Group(
        "why, how, explain",
        "reasoning",
        1.8,
        "why, how, how do, how does, how did, how is, how are, how to, how can, how could, "
        "how should, how would, explain, describe, compare, analyze, analyse, analysis, "
        "evaluate, discuss, prove, derive, calculate, compute, solve, determine, find, estimate, "
        "simplify, infer, deduce, define, definition, what is, what are, what does, what do, "
        "what causes, what happens, what would happen, should, is it better, difference between, "
        "steps to, best way, best ways, pros and cons, what makes, warum, wieso, weshalb, wie, "
        "erkläre, erklär, erklären, vergleiche, berechne, beweise, löse, bestimme, analysiere, "
        "begründe, pourquoi, comment, expliqu*, compar*, analys*, calcule, calculer, démontr*, "
        "résous, résoudre, déterminer, por qué, porque, cómo, explica, explicar, explícame, "
        "compara, analiza, calcula, calcular, demuestra, resuelve, determina, почему, зачем, "
        "объясн*, сравн*, докаж*, вычисл*, реши, решить, найти, найдите, определ*",
        "opening",
    ),
    Group(
        "reasons and comparisons",
        "reasoning",
        1.1,
        "why, explain, explanation, compare, comparison, difference, differences, versus, vs, "
        "advantages, disadvantages, benefits, pros and cons, causes, cause, effects, reason, "
        "reasons, because, therefore, analyze, analysis, evaluate, argument, arguments, "
        "hypothesis, theory, evidence, step by step, strategy, impact, implications, "
        "significance, role of, meaning of, definition, purpose, process of, mean, meaning, "
        "symptoms, treatment, affect, affects, important, importance, better, prevent, warum, "
        "weshalb, unterschied, unterschiede, vergleich, vorteile, nachteile, ursache, ursachen, "
        "erklärung, schritt für schritt, bedeutet, pourquoi, différence, différences, avantages, "
        "inconvénients, explication, étape par étape, signifie, por qué, diferencia, "
        "diferencias, ventajas, desventajas, explicación, paso a paso, significa, почему, "
        "объясн*, разниц*, 为什么, 为何, 怎么样才能, 如何, 解释, 分析, 比较, 区别, 原因, 证明, "
        "推导, 步骤, 論證, 解釋, 為什麼, なぜ, 説明, 比較, 求めよ, 証明, 왜, 설명, 분석, 비교",
    ),
    Group(
        "mathematics",
        "reasoning",
        1.5,
        "equation, equations, integral, derivative, probability, theorem, proof, polynomial, "
        "triangle, circle, radius, perimeter, angle, prime number, divisible, remainder, "
        "square root, fraction, percent, percentage, ratio, average, median, mean value, sum of, "
        "product of, total number, how many, how much, how far, how long, how old, how fast, "
        "speed, distance, velocity, km, mph, per hour, per day, per week, per month, per minute, "
        "each, twice, half, thrice, times as many, times as much, more than, less than, fewer, "
        "remaining, altogether, in total, discount, profit, interest rate, compound interest, "
        "simple interest, dollars, cents, cost, costs, price, earns, spends, sells, bought, "
        "buys, weighs, pounds, gallons, liters, meters, cm, feet, gleichung, wahrscheinlichkeit, "
        "beweis, prozent, durchschnitt, wie viele, wie viel, insgesamt, doppelt, hälfte, "
        "pro stunde, pro tag, pro woche, kostet, kosten, jeweils, mehr als, weniger als, "
        "stunden, stück, équation, probabilité, théorème, pourcentage, moyenne, combien, "
        "au total, le double, la moitié, par heure, par jour, par semaine, par mois, coûte, "
        "coûtent, chacun, chacune, chaque, de plus que, de moins que, fois plus, heures, "
        "minutes, sachant que, ecuación, probabilidad, teorema, porcentaje, promedio, cuántos, "
        "cuántas, cuánto, cuánta, en total, el doble, la mitad, por hora, por día, por semana, "
        "por mes, cuesta, cuestan, cada uno, cada una, cada, más que, menos que, уравнени*, "
        "вероятност*, сколько, процент*, сумма, суммы, средн*, 多少, 几个, 每个, 每天, 每周, "
        "每月, 小时, 分钟, 一共, 总共, 平均, 一半, 方程, 概率, 求解, 函数的, 定理, 计算, 积分, "
        "美元, 確率, 方程式, いくつ, 何個, 확률, 방정식, 몇 개",
    ),
    Group(
        "puzzles and exams",
        "reasoning",
        1.6,
        "true or false, multiple choice, options, which of the following, following statements, "
        "logically, premise, premises, deductively valid, lies, tells the truth, puzzle, swap, "
        "trade, partners, valid argument, choose the correct, correct answer, "
        "answer the following, assume that, suppose that, let x, given that, determine whether, "
        "conclude, if and only if, leftmost, rightmost, counterexample, sequence, date today, "
        "adjective order, answer choices, fewest, how would a typical person",
    ),
    Group(
        "sciences and trades",
        "reasoning",
        1.0,
        "physics, chemistry, biology, economics, philosophy, psychology, history of, scientific, "
        "molecule, quantum, energy, temperature, electron, gravity, evolution, species, cells, "
        "protein, blood, disease, inflation, market, revenue, accounting, tax, taxes, law, "
        "legal, court, constitution, policy, government, democracy, medication, diet, exercise, "
        "vitamins, insurance, mortgage, loan, legally, ethical, debate, essay, research, thesis, "
        "literature review, report on, case study, business plan, swot",
    ),
    Group(
        "greetings and small talk",
        "conversation",
        2.4,
        "hi, hello, hey, hiya, howdy, yo, sup, thanks, thank you, thx, good morning, good night, "
        "good evening, bye, goodbye, see you, see ya, catch you later, how are you, "
        "how s it going, what s up, whats up, nice to meet you, lol, haha, hahaha, wow, cool, "
        "awesome, amazing, yeah, yep, nope, nah, ok, okay, sure, sorry, congratulations, "
        "happy birthday, merry christmas, joke, jokes, i love you, i hate you, love you, "
        "marry me, are you human, are you real, are you a bot, are you a robot, robot, chatbot, "
        "bot, siri, alexa, who are you, your name, who made you, how old are you, "
        "where are you from, tell me about yourself, bored, boring, sing, sing me, sing a song, "
        "hallo, guten morgen, guten tag, guten abend, gute nacht, tschüss, danke, wie geht, "
        "wie geht es dir, wer bist du, witz, langweilig, ich liebe dich, bonjour, bonsoir, "
        "salut, coucou, merci, au revoir, ça va, comment ça va, blague, je t aime, qui es tu, "
        "bonne nuit, bonne journée, hola, buenos días, buenas, gracias, adiós, qué tal, "
        "cómo estás, chiste, te quiero, te amo, quién eres, buenas noches, привет, здравствуй*, "
        "спасибо, пока, как дела, 你好, 谢谢, 再见, 早上好, 晚安, 你是谁, 笑话, 我爱你, 哈哈, "
        "段子, 聊天, 你叫什么, こんにちは, ありがとう, おはよう, 안녕, 고마워",
    ),
    Group(
        "talk to a person",
        "conversation",
        1.2,
        "you re, you are, are you, do you, did you, you re so, your, yourself, have you, "
        "would you, will you, i m, i am, i love, i like, i hate, i feel, i think, i guess, "
        "i wonder, i know, i don t, i didn t, i have, my, me too, do you like, do you know, "
        "what do you think, your favorite, favourite, favorite, tell me, let s, talk to me, "
        "du bist, bist du, hast du, magst du, kannst du, ich bin, ich habe, ich mag, ich liebe, "
        "ich hasse, dein, deine, dich, dir, mich, tu es, es tu, as tu, aimes tu, est ce que tu, "
        "je suis, je t, je te, j aime, ton, ta, toi, moi, t es, tu as, eres, tienes, te gusta, "
        "me gusta, estás, soy, estoy, quiero, tú, ti, contigo, conmigo, 你, 你的, 我喜欢, 我想, "
        "我很, 我不",
    ),
    Group(
        "stories and verse",
        "conversation",
        2.2,
        "story, stories, poem, poems, poetry, haiku, lyrics, song, songs, novel, chapter, "
        "fanfic, fanfiction, screenplay, dialogue, role play, roleplay, roleplaying, fantasy, "
        "character, characters, protagonist, villain, plot twist, rhyme, rhymes, limerick, "
        "sonnet, verse, chorus, narrator, fairy tale, bedtime story, slogan, tagline, caption, "
        "birthday wish, love letter, dnd, dungeons, superhero, anime, episode, sitcom, scene, "
        "monologue, parody, comedic, humorous, funny, dramatic, romantic, write a scene, "
        "creative writing, riddle, short film, movie script, sci fi, thriller, geschichte, "
        "gedicht, lied, märchen, roman, erzählung, rollenspiel, histoire, poème, chanson, conte, "
        "rédige, jeu de rôle, cuento, historia, poema, canción, novela, diálogo, relato, "
        "personaje, poesía, рассказ, историю, история, стих, стихи, стихотворение, сказк*, "
        "песн*, сценари*, диалог, роман, персонаж*, 故事, 诗, 小说, 歌词, 剧本, 角色扮演, 童话, "
        "文案, 散文, 创作, 写一篇, 扮演, 小説, 物語, 詩, 俳句, 歌詞, セリフ, 이야기, 소설, 노래, "
        "가사, 시를",
    ),
    Group(
        "leisure",
        "conversation",
        1.2,
        "movie, movies, music, band, album, singer, actor, actress, football, basketball, "
        "baseball, soccer, nfl, nba, game, games, team, player, quarterback, coach, tv, show, "
        "netflix, season, dog, cat, pet, pets, weekend, vacation, party, birthday, friend, "
        "friends, girlfriend, boyfriend, family, food, pizza, coffee, beer, weather, dance, "
        "dancing, concert, guitar, book, books, star wars, disney, simpsons, spongebob, "
        "celebrity, president, trivia, fun fact, cute, film, musik, fußball, hund, katze, "
        "freund, freundin, essen, wetter, musique, foot, chien, chat, ami, amis, manger, "
        "película, música, fútbol, perro, gato, amigo, amiga, comida",
    ),
    Group(
        "single facts",
        "conversation",
        1.5,
        "who is, who was, who are, who did, who plays, who played, who sang, who sings, "
        "who wrote, who won, who has, who s, when is, when was, when did, when does, when do, "
        "when will, where is, where was, where are, where did, where does, where can, where do, "
        "which, what year, what time, what day, what color, what colour, what city, "
        "what country, what state, what channel, what date, what s the name, what is the name, "
        "what was, what s your, is, is there, are there, are, was, were, did, does, do, can, "
        "has, have, will, wer ist, wer hat, wann, wo, qui, quand, où, quién, cuándo, dónde, кто, "
        "когда, где",
        "opening",
    ),
)
