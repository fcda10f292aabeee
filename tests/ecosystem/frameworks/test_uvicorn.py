"""Streamed answers under uvicorn, on asyncio's event loop and on uvloop: readers who leave, Stop, scopes that end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Body, FastAPI, Request
from fastapi.responses import StreamingResponse
from strands import Agent

from strands_persql import PerSQLSessionManager
from strands_persql.client import Database

from ..needed import needed
from .elsewhere import DATABASE, check, kept, restored, said
from .models import ObedientModel
from .servers import client_of, in_thread, until

needed("uvicorn", "uvloop")
